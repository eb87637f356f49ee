package raffle

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// While the primary is away, the closer fails several times a second, with words that differ. One line says so.
func TestALongAbsenceIsLoggedOnce(t *testing.T) {
	var b bytes.Buffer
	c := &Closer{log: slog.New(slog.NewTextHandler(&b, nil)), away: rate.Sometimes{First: 1, Interval: time.Minute}}
	for i := range 500 {
		c.tell(t.Context(), fmt.Errorf("connection refused by host %d", i%3))
	}
	if n := strings.Count(b.String(), "session ended"); n != 1 || c.left != 499 {
		t.Errorf("%d lines, and %d are left out, of 500:\n%s", n, c.left, b.String())
	}
}
