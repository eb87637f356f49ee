package drill

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// A front door that is down is reported at once, although logins are patient.
func TestAFrontDoorThatIsDownIsReportedAtOnce(t *testing.T) {
	begun := time.Now()
	url := fmt.Sprintf("http://127.0.0.1:%d", testenv.FreePort(t))
	_, err := Run(t.Context(), Config{URL: url, Ctl: Ctl{Path: "echo"}, Out: io.Discard})
	if took := time.Since(begun); err == nil || took > 5*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}
