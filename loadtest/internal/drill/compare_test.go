package drill

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Each kind of fault is found, and nothing else is taken for one.
func TestCompareFindsEachFault_W1_W2(t *testing.T) {
	acked := func(e *Entry) { e.State, e.ID = Acknowledged, int64(101+e.Serial) }
	for _, c := range []struct {
		name  string
		entry func(e *Entry) // of the bid with serial number 0; the one with number 1 is acknowledged
		rows  func(mine row) []row
		shown func(mine Bid) []Bid
		want  Count
		text  string
	}{
		{name: "all is well", entry: acked, want: Count{Acknowledged: 2}},
		{name: "lost", entry: acked, rows: func(row) []row { return nil }, want: Count{Acknowledged: 2, Lost: 1}, text: "lost: {ID:101"},
		{name: "there with another price", entry: acked, rows: func(r row) []row { r.Price++; return []row{r} }, want: Count{Acknowledged: 2, Lost: 1}},
		{name: "there under another id", entry: acked, rows: func(r row) []row { r.ID += 50; return []row{r} }, want: Count{Acknowledged: 2, Lost: 1}},
		{name: "doubled", entry: acked, rows: func(r row) []row { other := r; other.ID += 50; return []row{r, other} }, want: Count{Acknowledged: 2, Doubled: 1}, text: "doubled: bid 0"},
		{name: "refused and not there", entry: func(e *Entry) { e.State = Refused }, rows: func(row) []row { return nil }, want: Count{Acknowledged: 1, Refused: 1}},
		{name: "refused and there", entry: func(e *Entry) { e.State = Refused }, want: Count{Acknowledged: 1, Refused: 1, Unwanted: 1}, text: "unwanted: "},
		{name: "refused after a doubt and there", entry: func(e *Entry) { e.State, e.Doubt = Refused, true }, want: Count{Acknowledged: 1, Refused: 1, Late: 1}},
		{name: "in doubt, then repeated", entry: func(e *Entry) { acked(e); e.Doubt, e.Replayed = true, true }, want: Count{Acknowledged: 2, Late: 1}},
		{name: "in doubt, then placed", entry: func(e *Entry) { acked(e); e.Doubt = true }, want: Count{Acknowledged: 2}},
		{name: "open and there", entry: func(e *Entry) { e.Doubt = true }, want: Count{Acknowledged: 1, Open: 1, Late: 1}, text: "open: "},
		{name: "a phantom", entry: acked, shown: func(b Bid) []Bid { b.ID = 999; return []Bid{b} }, want: Count{Acknowledged: 2, Wrong: 1}, text: "wrong read: redis showed {ID:999"},
		{name: "shown with other values", entry: acked, shown: func(b Bid) []Bid { b.Quantity++; return []Bid{b} }, want: Count{Acknowledged: 2, Wrong: 1}},
		{name: "shown in two ways", entry: acked, shown: func(b Bid) []Bid { other := b; other.Size++; return []Bid{b, other} }, want: Count{Acknowledged: 2, Wrong: 1}},
		{name: "a bid from before", entry: acked, shown: func(b Bid) []Bid { b.ID = 100; return []Bid{b} }, want: Count{Acknowledged: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBook("d", 100)
			mine, other := b.add(1, 270, 0), b.add(1, 270, 0)
			c.entry(mine)
			acked(other)
			there := row{Bid{101, 1, 270, mine.Price, mine.Quantity}, "d-0"}
			rows := []row{there}
			if c.rows != nil {
				rows = c.rows(there)
			}
			rows = append(rows, row{other.Bid, "d-1"}, row{Bid{300, 1, 270, 1, 1}, "somebody else's"})
			if c.shown != nil {
				b.show("redis", time.Now(), c.shown(there.Bid)...)
			}
			got := compare(b, rows)
			if !strings.Contains(strings.Join(got.Examples, "\n"), c.text) {
				t.Errorf("examples %q lack %q", got.Examples, c.text)
			}
			if faults := got.Lost + got.Doubled + got.Unwanted + got.Open + got.Wrong; faults != int64(len(got.Examples)) {
				t.Errorf("%d faults, %d examples", faults, len(got.Examples))
			}
			got.Examples = nil
			if !equal(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func equal(a, b Count) bool {
	return slices.Equal([]int64{a.Acknowledged, a.Lost, a.Doubled, a.Late, a.Refused, a.Unwanted, a.Open, a.Wrong},
		[]int64{b.Acknowledged, b.Lost, b.Doubled, b.Late, b.Refused, b.Unwanted, b.Open, b.Wrong})
}

func TestGapIsTheLongestTimeBetweenEvents(t *testing.T) {
	begin := time.Now()
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	var g gap
	for _, ms := range []int{0, 10, 30, 20, 530, 500, 540} { // some come late
		g.mark(at(ms))
	}
	if longest, from := g.result(); longest != 500*time.Millisecond || !from.Equal(at(30)) || !g.latest().Equal(at(540)) {
		t.Errorf("%v from %v", longest, from.Sub(begin))
	}
}
