package clock_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/clock"
)

func TestClock(t *testing.T) {
	for _, offset := range []time.Duration{0, 5 * time.Second, -time.Hour} {
		now := clock.Clock{Offset: offset}.Now()
		if off := time.Until(now) - offset; off < -time.Minute || off > time.Minute {
			t.Errorf("%v: off by %v", offset, off)
		}
		if strings.Contains(now.String(), "m=") {
			t.Errorf("%v: a monotonic reading in %v", offset, now)
		}
	}
}
