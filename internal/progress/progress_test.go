package progress

import (
	"bytes"
	"testing"
	"time"
)

func TestProgressLines(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	p := New(&out, func() time.Time { return now })
	for _, s := range []struct {
		seconds     int64
		step        string
		done, total int64
	}{
		{0, "bids", 0, 12_000_000},
		{1, "bids", 400_000, 12_000_000},
		{4, "bids", 2_000_000, 12_000_000},
		{5, "bids", 2_500_000, 12_000_000},
		{20, "bids", 12_000_000, 12_000_000},
		{20, "index bids_size", 0, 0},
		{22, "index bids_size", 1, 0},
	} {
		now = time.Unix(s.seconds, 0)
		p.Update(s.step, s.done, s.total)
	}
	p.End()
	want := `bids: 2,000,000 of 12,000,000 (16 %), 500,000/s, 20 s left
bids: 12,000,000 in 20.0 s
index bids_size: 2.0 s
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
