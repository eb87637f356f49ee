package opsfeed

import (
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// teller turns what the parts of the replicator report into events.
type teller struct {
	tell func(kind opspage.Kind, args ...any)
	now  func() time.Time

	mu       sync.Mutex
	seen     bool      // a read model was served since the start
	began    time.Time // of the rebuild under way
	diverged bool
}

func (t *teller) listener() status.Listener {
	return status.Listener{
		Changed:  t.changed,
		Failed:   func(kind string) { t.tell(opspage.Failed, failure(kind)) },
		Lost:     func(part string) { t.tell(opspage.PartLost, part) },
		Poisoned: func(part string) { t.tell(opspage.RowPoisoned, part, part) },
		Reloaded: func(part string, well bool) {
			if well {
				t.tell(opspage.PartReloaded, part)
			} else {
				t.tell(opspage.PartRetried, part)
			}
		},
	}
}

// changed tells of a state. Starting and retrying are moments, of which only the error is worth telling.
func (t *teller) changed(before, after status.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = t.seen || before.LSN != ""
	switch after.State {
	case before.State, status.Starting, status.Retrying:
	case status.Paused:
		t.tell(opspage.Pauses)
	case status.Waiting:
		t.tell(opspage.Waits)
	case status.Rebuilding:
		t.began = t.now()
		t.tell(opspage.Rebuilds, why(after.Rebuild.Reason, t.seen), serves(after))
	case status.Streaming:
		if r := before.Rebuild; before.State == status.Rebuilding && r != nil {
			t.tell(opspage.Rebuilt, after.Epoch, progress.Grouped(r.Rows), span(t.now().Sub(t.began)))
		} else {
			t.tell(opspage.Follows, after.LSN, after.Epoch)
		}
	default:
		t.tell(opspage.OtherState, after.State)
	}
}

// sawReadModel says whether a read model was served since the start.
func (t *teller) sawReadModel() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen
}

// compared tells of a slice of the background comparison.
func (t *teller) compared(r verify.Report, all verify.State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Divergent > 0 {
		first := "not looked at"
		if len(r.Findings) > 0 {
			first = r.Findings[0].String()
		}
		t.tell(opspage.Diverges, r.Divergent, first)
	}
	if t.diverged && all.DivergentKeys == 0 {
		t.tell(opspage.Mended)
	}
	t.diverged = all.DivergentKeys > 0
}
