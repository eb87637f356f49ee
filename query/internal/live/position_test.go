package live

import (
	"errors"
	"math"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"1.2-3", "0.0-0", "", ".", "1", "1.", "1.2", "1.2-", "01.2-3", "1.2-3\n", "+1.2-3", "1.2.3-4",
		"18446744073709551615.18446744073709551615-18446744073709551615", "18446744073709551616.0-0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePosition(s)
		if err != nil {
			if !errors.Is(err, ErrPosition) || (p != Position{}) {
				t.Fatalf("%q: %v with %v", s, p, err)
			}
			return
		}
		if p.String() != s {
			t.Fatalf("%q is read as %s", s, p)
		}
	})
}

func id(lsn lsn.LSN, n uint64) readmodel.EventID { return readmodel.EventID{LSN: lsn, N: n} }

func TestAPositionHoldsWhatIsBeforeIt(t *testing.T) {
	for _, c := range []struct {
		p    Position
		want lsn.LSN
	}{
		{Position{1, id(100, 0)}, 100}, // a checkpoint holds everything before it
		{Position{1, id(100, 1)}, 101}, // an event's commit begins there and must be in, too
		{Position{1, id(100, math.MaxUint64)}, 101},
	} {
		if got := c.p.minLSN(2); got != (lsn.Position{Timeline: 2, LSN: c.want}) {
			t.Errorf("%s: Min-LSN %s, want %s", c.p, got, c.want)
		}
	}
	if !(Position{2, id(1, 0)}).after(Position{1, id(100, 5)}) || (Position{1, id(1, 0)}).after(Position{1, id(1, 0)}) {
		t.Error("another epoch is always new, the same position never")
	}
}

func TestAGapIsWhatWasTrimmed(t *testing.T) {
	for name, c := range map[string]struct {
		s     stream
		after readmodel.EventID
		whole bool
	}{
		"no stream, only a checkpoint seen":     {stream{}, id(50, 0), true},
		"no stream, but an event was seen":      {stream{}, id(50, 1), false},
		"nothing was ever trimmed":              {stream{true, 3, 3, id(90, 1)}, id(50, 0), true},
		"trimmed, older than the first entry":   {stream{true, 9, 3, id(90, 2)}, id(90, 1), false},
		"trimmed, the first entry itself":       {stream{true, 9, 3, id(90, 2)}, id(90, 2), true},
		"trimmed, younger than the first entry": {stream{true, 9, 3, id(90, 2)}, id(91, 0), true},
		"emptied":                               {stream{true, 9, 0, id(0, 0)}, id(90, 2), true},
	} {
		if got := c.s.whole(c.after); got != c.whole {
			t.Errorf("%s: whole is %v", name, got)
		}
	}
}
