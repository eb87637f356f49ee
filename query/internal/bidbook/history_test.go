package bidbook

import (
	"errors"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// R2: if the primary's last answer is older than a request, the wanted position is not refused as a future one,
// because it may have been flushed since.
func TestBeyondIsSaidByAnAnswerSinceTheRequest_R2(t *testing.T) {
	s := &primary.State{Connected: true, History: lsn.NewHistory(1, nil), Flushed: 10} // asked at the zero time
	want := lsn.Position{Timeline: 1, LSN: 11}
	if err := judge(s, want, time.Now()); err != nil {
		t.Errorf("by an older answer: %v", err)
	}
	if err := judge(s, want, time.Time{}); !errors.Is(err, ErrBeyond) {
		t.Errorf("by an answer since: %v", err)
	}
}
