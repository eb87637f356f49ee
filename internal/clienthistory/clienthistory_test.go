package clienthistory

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

var shoes = List{1, 270}

// A right history, and every way to tamper with it that breaks a promise.
func TestCheckFindsPlantedFaults(t *testing.T) {
	for name, c := range map[string]struct {
		record func(*Recorder)
		wrong  string // part of the error, empty if the history is right
	}{
		"right": {func(r *Recorder) {}, ""},
		"a stale read without Min-LSN": {func(r *Recorder) {
			r.Read(1, shoes, 0).Shown(12, 12, 10)
		}, ""},
		"read your writes": {func(r *Recorder) {
			r.Add(1, shoes, 50).Done(50)
			r.Read(1, shoes, 50).Shown(55, 55, 20, 30)
		}, "no order"},
		"a read below its Min-LSN": {func(r *Recorder) {
			r.Read(1, shoes, 40).Shown(39, 39, 20, 30)
		}, "older than its Min-LSN"},
		"a cancelled bid": {func(r *Recorder) {
			r.Read(2, shoes, 40).Shown(45, 45, 10, 20, 30)
		}, "no order"},
		"not a prefix": {func(r *Recorder) { // 30 was committed after 20 and is shown without it
			r.Read(2, shoes, 0).Shown(35, 35, 30)
		}, "no order"},
		"another path that goes back": {func(r *Recorder) {
			c := r.Add(1, shoes, 50)
			r.Read(1, shoes, 0).Shown(52, 52, 20, 30, 50)
			r.Read(2, shoes, 0).Shown(54, 54, 20, 30)
			c.Done(60)
		}, "no order"},
		"something from the future": {func(r *Recorder) {
			r.Read(2, shoes, 0).Shown(60, 60, 20, 30)
			r.Add(1, shoes, 50).Done(61)
			r.Read(2, shoes, 0).Shown(60, 60, 20, 30, 50)
		}, "no order"},
		"a commit without a position of its own": {func(r *Recorder) {
			r.Read(2, shoes, 0).Shown(60, 60, 20, 30)
			r.Add(1, shoes, 50).Done(60)
		}, "was known before"},
		"a write without an answer that comes late": {func(r *Recorder) {
			r.Add(1, shoes, 50).Lost()
			r.Read(2, shoes, 0).Shown(60, 60, 20, 30)
			r.Read(2, shoes, 0).Shown(70, 70, 20, 30, 50)
		}, ""},
		"a cancellation without an answer of a bid that no read has shown": {func(r *Recorder) {
			r.Add(1, shoes, 50).Done(50)
			r.Remove(1, shoes, 50).Lost()
			r.Read(2, shoes, 0).Shown(60, 60, 20, 30)
		}, ""},
		"a write without an answer that goes again": {func(r *Recorder) {
			r.Add(1, shoes, 50).Lost()
			r.Read(2, shoes, 0).Shown(60, 60, 20, 30, 50)
			r.Read(2, shoes, 0).Shown(70, 70, 20, 30)
		}, "no order"},
		"an answer of SQL that shows more than its position": {func(r *Recorder) {
			c := r.Add(1, shoes, 50)
			r.Read(2, shoes, 0).Shown(45, 55, 20, 30, 50)
			c.Done(60)
		}, ""},
		"an answer of SQL that lacks what its position covers": {func(r *Recorder) {
			r.Add(1, shoes, 50).Done(60)
			r.Read(2, shoes, 0).Shown(60, 70, 20, 30)
		}, "no order"},
		"an answer of SQL that shows what was flushed later": {func(r *Recorder) {
			c := r.Add(1, shoes, 50)
			r.Read(2, shoes, 0).Shown(45, 55, 20, 30, 50)
			r.Read(2, shoes, 0).Shown(56, 56, 20, 30)
			c.Done(60)
		}, "no order"},
		"an answer of the primary that shows the later of two commits": {func(r *Recorder) {
			a, b := r.Add(1, shoes, 50), r.Add(2, shoes, 60)
			r.Read(3, shoes, 0).ShownInPart(42, 60, 20, 30, 60)
			r.Read(3, shoes, 0).Shown(50, 50, 20, 30, 50)
			a.Done(50)
			b.Done(60)
		}, ""},
		"an answer of the primary that lacks what its position covers": {func(r *Recorder) {
			r.Add(1, shoes, 50).Done(50)
			b := r.Add(2, shoes, 60)
			r.Read(3, shoes, 0).ShownInPart(50, 60, 20, 30, 60)
			b.Done(60)
		}, "no order"},
		"an answer of the primary that shows a cancelled bid": {func(r *Recorder) {
			r.Read(3, shoes, 0).ShownInPart(42, 60, 10, 20, 30)
		}, "no order"},
		"cleared": {func(r *Recorder) {
			c := r.Clear(0)
			r.Add(1, shoes, 50).Done(45)
			c.Done(50)
			r.Read(2, shoes, 0).Shown(60, 60, 50)
		}, ""},
		"a bid that is repeated after a clear": {func(r *Recorder) {
			c := r.Add(1, shoes, 50)
			r.Read(2, shoes, 0).Shown(55, 55, 20, 30, 50)
			r.Clear(0).Done(57)
			r.Read(2, shoes, 0).Shown(60, 60, 50)
			c.Again().Lost()
			c.Done(59)
		}, ""},
		"a bid that comes back after a clear": {func(r *Recorder) {
			c := r.Add(1, shoes, 50)
			r.Read(2, shoes, 0).Shown(55, 55, 20, 30, 50)
			r.Clear(0).Done(57)
			r.Read(2, shoes, 0).Shown(60, 60, 50)
			c.Done(59)
		}, "no order"},
		"a bid that a clear leaves": {func(r *Recorder) {
			r.Clear(0).Done(50)
			r.Read(2, shoes, 0).Shown(60, 60, 20)
		}, "no order"},
		"a fork": {func(r *Recorder) {
			r.Add(1, shoes, 50).Done(60)
			r.Fork(45)
			r.Read(1, shoes, 0).Shown(44, 44, 20, 30) // of the line that both have
			r.Add(1, shoes, 60).Done(50)
			r.Read(1, shoes, 0).Shown(50, 50, 20, 30, 60)
		}, ""},
		"a fork that keeps a commit at whose position it was not yet": {func(r *Recorder) {
			r.Add(1, shoes, 50).Done(60)
			r.Fork(45)
			r.Read(1, shoes, 0).Shown(50, 50, 20, 30, 50)
		}, ""},
		"a fork that loses what it had": {func(r *Recorder) {
			r.Fork(45)
			r.Read(1, shoes, 0).Shown(50, 50, 20)
		}, "line 2"},
		"a fork that keeps what was sent beyond it": {func(r *Recorder) {
			r.Add(1, shoes, 50).Done(60)
			r.Add(1, shoes, 60).Lost()
			r.Fork(45)
			r.Read(1, shoes, 0).Shown(50, 50, 20, 30, 60)
		}, "line 2"},
		"a read of a lost history": {func(r *Recorder) {
			r.Add(1, shoes, 50).Done(60)
			r.Fork(45)
			r.Add(1, shoes, 60).Done(50)
			r.Read(1, shoes, 0).Shown(60, 60, 20, 30, 50)
		}, "line 2"},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRecorder(5)
			r.Add(1, shoes, 10).Done(10)
			r.Add(2, shoes, 20).Done(20)
			r.Add(1, List{1, 280}, 15).Done(25)
			r.Add(2, shoes, 30).Done(30)
			r.Remove(1, shoes, 10).Done(40)
			r.Read(2, shoes, 20).Shown(42, 42, 30, 20)
			c.record(r)
			err := r.Check()
			if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%v, want %q", err, c.wrong)
			}
		})
	}
}

// A restore loses nearly all of a long line. The search must not try the lost writes in each place of the next line.
func TestCheckOfALongLineThatIsLost(t *testing.T) {
	r := NewRecorder(5)
	r.Add(1, shoes, 1).Done(6)
	bids := []int32{1}
	for n := int32(2); n < 60; n++ {
		at := lsn.LSN(10 * n)
		r.Add(1, shoes, n).Done(at)
		bids = append(bids, n)
		r.Read(2, shoes, at).Shown(at+1, at+1, slices.Clone(bids)...)
		r.Remove(1, shoes, n/2).Done(at + 2)
		bids = slices.DeleteFunc(bids, func(b int32) bool { return b == n/2 })
		if n%20 == 0 {
			r.Clear(0).Done(at + 3)
			bids = nil
		}
	}
	r.Fork(6)
	for n := int32(100); n < 120; n++ {
		at := lsn.LSN(10 * n)
		r.Add(1, shoes, n).Done(at)
		r.Read(2, shoes, 0).Shown(7, 7, 1)
	}
	if err := r.Check(); err != nil {
		t.Error(err)
	}
}

// A standby may have replayed more than its Read-LSN says, so a read that shows commits beyond the fork is no part of
// the next line.
func TestCheckOfAReadThatShowsWhatIsLost(t *testing.T) {
	r := NewRecorder(5)
	r.Add(1, shoes, 1).Done(10)
	r.Add(1, shoes, 3).Done(16)
	r.Add(1, shoes, 2).Done(20)
	r.Read(2, shoes, 0).Shown(10, 25, 1, 2, 3)
	r.Fork(15)
	r.Read(2, shoes, 0).Shown(16, 16, 1)
	if err := r.Check(); err != nil {
		t.Error(err)
	}
}

// A simulated system with overlapping writes answers from any prefix. Then one bid is taken out of one read. The
// check must find that, unless the read then equals another state.
func TestCheckJudgesSimulatedHistories(t *testing.T) {
	found := 0
	for seed := range uint64(100) {
		r := simulate(rand.New(rand.NewPCG(seed, 1)))
		if err := r.Check(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i := range r.operations {
			if o := &r.operations[i]; o.kind == read && len(o.bids) > 1 && o.at > 200 {
				o.bids = o.bids[1:]
				break
			}
		}
		if r.Check() != nil {
			found++
		}
	}
	if found < 95 {
		t.Errorf("only %d of 100 planted faults were found", found)
	}
}

// simulate records rounds of two writes at once and three reads.
func simulate(random *rand.Rand) *Recorder {
	r := NewRecorder(1)
	at := lsn.LSN(1)
	states := map[lsn.LSN][]int32{1: nil}
	var now []int32
	commit := func(c *Call) {
		at += lsn.LSN(1 + random.IntN(9))
		now = append(append([]int32{}, now...), c.operation.bid)
		states[at] = now
	}
	for round := range int32(40) {
		a, b := r.Add(1, shoes, 2*round), r.Add(2, shoes, 2*round+1)
		if random.IntN(2) == 0 {
			a, b = b, a
		}
		commit(a)
		commit(b)
		token := at + lsn.LSN(random.IntN(3))
		a.Done(token) // read after both commits
		if random.IntN(20) == 0 {
			b.Lost()
		} else {
			b.Done(token)
		}
		at = token
		states[at] = now
		for range 3 {
			seen := lsn.LSN(1 + random.IntN(int(at)))
			for states[seen] == nil && seen > 1 {
				seen--
			}
			r.Read(3, shoes, 0).Shown(seen, seen, append([]int32{}, states[seen]...)...)
		}
	}
	return r
}
