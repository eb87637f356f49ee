package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

func TestKeysAreFoundAgainByTheirNames(t *testing.T) {
	for _, k := range []key{{newest, set{7, 270}}, {highest, set{1 << 40, 32767}}, {sizes, set{raffle: 7}}, {raffle, set{raffle: 7}},
		{kind: raffles}, {kind: products}, {sizeNewest, set{size: 270}}} {
		if got, e, ok := parseKey(k.name(12)); !ok || e != 12 || got != k {
			t.Errorf("%s: %+v, epoch %d, %v", k.name(12), got, e, ok)
		}
	}
	for _, name := range []string{"pyramid:checkpoint", "{r7}:12:live", "{s270}:12:floor", "{raffles}:12:version", "{r7}:12:n:", "{r7}:12:n:270:1",
		"{r7}:12:n:99999", "{r07}:12:sizes", "{r7}:12:sizes:5", "{other}:12", ""} {
		if k, _, ok := parseKey(name); ok {
			t.Errorf("%q is taken for %+v", name, k)
		}
	}
}

func TestDigestsAreOfTheMembersWhateverTheirOrder(t *testing.T) {
	h := newHasher()
	of := func(members ...string) (d digest) {
		for _, m := range members {
			d.add(h.of([]byte(m)), 1)
		}
		return d
	}
	if of("a", "b", "c") != of("c", "a", "b") {
		t.Error("the order counts")
	}
	if of("a", "b") == of("a", "c") || of("a", "b") == of("a", "b", "b") || of("a", "a") == of("b", "b") {
		t.Error("other members have the same digest")
	}
	d := of("a", "b", "c")
	d.add(h.of([]byte("b")), -1)
	if d != of("a", "c") {
		t.Error("what was taken out is still in")
	}
}

func TestScoresAreReadInEveryForm(t *testing.T) {
	for _, c := range []struct {
		text string
		want float64
		same bool
	}{
		{"1764000000000001", 1764000000000001, true}, {"1764000000000001", 1764000000000002, false},
		{"-300000", -300000, true}, {"300000", -300000, false}, {"-0", 0, true}, {"1.764e+15", 1764000000000000, true},
		{"-3e5", -300000, true}, {"0.5", 0, false}, {"inf", 5, false}, {"", 5, false}, {"99999999999999999999", 1e20, true},
	} {
		if got := isScore([]byte(c.text), c.want); got != c.same {
			t.Errorf("%q is %v: %v", c.text, c.want, got)
		}
	}
}

func TestCompareNamesWhatDiffers(t *testing.T) {
	d := compare(content{"a": "1", "b": "2", "c": "3"}, content{"b": "2", "c": "4", "d": "5"})
	if !slices.Equal(d.missing, []string{"a"}) || !slices.Equal(d.extra, []string{"d"}) || !slices.Equal(d.wrong, []string{"c"}) || d.none() {
		t.Errorf("%+v", d)
	}
	if d := compare(content{"a": "1"}, content{"a": "1"}); !d.none() {
		t.Errorf("%+v", d)
	}
}

// Above both floors all bids must be there. At or below one of them none is expected or refused.
func TestLatestBidsAreComparedAboveTheFloors(t *testing.T) {
	bid := func(at int64) readmodel.Bid {
		return readmodel.Bid{RaffleID: 1, ID: at, UserID: 1, CreatedAt: at, Price: 1, Quantity: 1}
	}
	member := func(at int64) string { return string(bid(at).AppendSizeMember(nil)) }
	for _, c := range []struct {
		name           string
		floor          string
		has            []int64
		missing, extra int
	}{
		{"all", "", []int64{20, 30, 40}, 0, 0},
		{"one is missing", "", []int64{20, 40}, 1, 0},
		{"those below the own floor are unknown", "", []int64{5, 20, 30, 40}, 0, 0},
		{"those below the floor of Redis may be missing", "20", []int64{30, 40}, 0, 0},
		{"or not", "30", []int64{20, 40}, 0, 0},
		{"one is too many", "20", []int64{30, 35, 40}, 0, 1},
	} {
		l := &latest{floor: 10, bids: make(content)}
		for _, at := range []int64{20, 30, 40} {
			l.bid(bid(at), 1)
		}
		got := found{content: make(content), floor: c.floor}
		for _, at := range c.has {
			got.content[member(at)] = fmt.Sprint(at)
		}
		got.content.putSentinel(sizeNewest)
		if d := differ(l, got); len(d.missing) != c.missing || len(d.extra) != c.extra || len(d.wrong) != 0 {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

// The stream is held before the first transaction after the target, and the model has nothing of that transaction.
func TestGateStopsExactlyAtTheTarget(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	g := newBarrier(newModel(Everything, newHasher()), 100)
	var in []wal.LSN
	done := make(chan error)
	go func() {
		for _, at := range []wal.LSN{110, 120, 130} {
			if err := g.Begin(wal.Transaction{Final: at}); err != nil {
				done <- err
				return
			}
			g.mu.Lock()
			in = append(in, at)
			g.mu.Unlock()
			if err := g.Commit(at + 5); err != nil {
				done <- err
				return
			}
		}
		done <- g.Position(200)
	}()
	for _, c := range []struct {
		to   wal.LSN
		want []wal.LSN
	}{{100, nil}, {110, nil}, {115, []wal.LSN{110}}, {118, []wal.LSN{110}}, {130, []wal.LSN{110, 120}}, {200, []wal.LSN{110, 120, 130}}} {
		if err := g.reach(ctx, c.to); err != nil {
			t.Fatal(err)
		}
		g.mu.Lock()
		if !slices.Equal(in, c.want) {
			t.Errorf("at %d these are in: %v, want %v", c.to, in, c.want)
		}
		g.mu.Unlock()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := g.reach(ctx, 300); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

func TestGateRefusesAPositionWithinACommitRecord(t *testing.T) {
	g := newBarrier(newModel(Everything, newHasher()), 100)
	g.target = 112
	if err := errors.Join(g.Begin(wal.Transaction{Final: 110}), g.Commit(115)); err == nil {
		t.Error("the model is past the position that it is compared at")
	}
}

func differ(l *latest, got found) difference {
	want := l.wanted(&got)
	return compare(want, got.content)
}
