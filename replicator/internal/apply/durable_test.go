package apply

import (
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

func TestOnlySettledCheckpointsAreConfirmed_P1(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(1_000_000 + int64(ms)) }
	d := &durable{confirmed: 5}
	for ms := 0; ms <= 1000; ms += 10 {
		d.wrote(lsn.LSN(100+ms), at(ms))
	}
	for _, c := range []struct {
		ms   int
		most lsn.LSN
	}{{0, 5}, {2999, 5}, {3200, 300}, {3999, 1099}} {
		if got := d.confirm(at(c.ms)); got > c.most {
			t.Errorf("at %d ms %d is confirmed, at most %d may be", c.ms, got, c.most)
		}
	}
	if got := d.confirm(at(4000)); got != 1100 {
		t.Errorf("after 3 s %d is confirmed, want 1100", got)
	}
	if n := len(d.marks); n != 0 {
		t.Errorf("%d marks are left", n)
	}
}
