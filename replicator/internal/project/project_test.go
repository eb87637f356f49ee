package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
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

// commands are a batch's commands, as a server would read them.
func commands(t *testing.T, b *batch) (all [][]string) {
	t.Helper()
	var c resp.Commands
	b.append(&c)
	r := resp.NewReader(bytes.NewReader(c.Wire), 0)
	for range c.N {
		head, err := r.Next()
		if err != nil || head.Kind != resp.Array {
			t.Fatalf("%v, %v", head, err)
		}
		args := make([]string, head.N)
		for i := range args {
			arg, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			args[i] = string(arg.Text)
		}
		all = append(all, args)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("more than %d commands", c.N)
	}
	return all
}

// replay applies a batch's commands to sets in memory: what Redis does with ZADD and ZREM.
func replay(t *testing.T, b *batch, sets map[string]map[string]string) {
	for _, args := range commands(t, b) {
		key := args[1]
		if sets[key] == nil {
			sets[key] = make(map[string]string)
		}
		switch args[0] {
		case "ZADD":
			for i := 2; i < len(args); i += 2 {
				sets[key][args[i+1]] = args[i]
			}
		case "ZREM":
			for _, member := range args[2:] {
				delete(sets[key], member)
			}
		case "EXISTS": // of what it adds to
		default:
			t.Errorf("command %v", args[:2])
		}
	}
}

func TestGroupedCommandsEndAsSingleOnes_P2(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	b := newBatch(3)
	sets, want := make(map[string]map[string]string), make(map[string]map[string]string)
	for range 50 {
		for range random.IntN(200) {
			v := readmodel.Bid{RaffleID: random.Int64N(3), ID: random.Int64N(10), UserID: 1, CreatedAt: 5, Price: 9, Quantity: 1, Size: 270}
			remove := random.IntN(2) == 0
			b.bid(v, remove)
			member, sizeMember := string(v.AppendMember(nil)), string(v.AppendSizeMember(nil))
			for _, w := range []struct {
				key, member string
				score       float64
			}{{b.epoch.Newest(v.RaffleID, v.Size), member, v.NewestScore()}, {b.epoch.Highest(v.RaffleID, v.Size), member, v.HighestScore()},
				{b.epoch.SizeNewest(v.Size), sizeMember, v.NewestScore()}} {
				if want[w.key] == nil {
					want[w.key] = make(map[string]string)
				}
				if remove {
					delete(want[w.key], w.member)
				} else {
					want[w.key][w.member] = fmt.Sprint(int64(w.score))
				}
			}
		}
		replay(t, b, sets)
		b.reset()
		for key := range want {
			if fmt.Sprint(sets[key]) != fmt.Sprint(want[key]) {
				t.Fatalf("%s holds %v, want %v", key, sets[key], want[key])
			}
		}
	}
}

// The events of a raffle are numbered within their transaction, whatever lies between them, and come as
// one entry that has the id of the last.
func TestEventsOfATransactionBecomeOneEntryARaffle(t *testing.T) {
	b, p := newBatch(3), newProjector(3)
	bid := func(raffle, id int64, remove bool) readmodel.Event {
		v := readmodel.Bid{RaffleID: raffle, ID: id, UserID: 1, CreatedAt: 5 * id, Price: 9, Quantity: 1, Size: 270}
		p.event(b, raffle, b.bid(v, remove))
		if remove {
			return readmodel.Event{Kind: readmodel.EventCancel, Bid: v}
		}
		return readmodel.Event{Kind: readmodel.EventBid, Bid: v}
	}
	want := map[string][]readmodel.Event{}
	p.begin(100)
	want["7 100-3"] = append(want["7 100-3"], bid(7, 1, false))
	want["8 100-1"] = append(want["8 100-1"], bid(8, 2, false))
	want["7 100-3"] = append(want["7 100-3"], bid(7, 3, false), bid(7, 1, true))
	p.begin(200)
	want["7 200-2"] = append(want["7 200-2"], bid(7, 4, false))
	p.event(b, 7, b.closed(readmodel.Raffle{ID: 7, ClosedAt: 44, ClosingPrice: 9}))
	want["7 200-2"] = append(want["7 200-2"], readmodel.Event{Kind: readmodel.EventClose, ClosedAt: 44, ClosingPrice: 9})
	for _, args := range commands(t, b) {
		if args[0] != "XADD" {
			continue
		}
		raffle := int64(args[1][2] - '0')
		id, err := readmodel.ParseEventID(args[5])
		if err != nil || args[1] != b.epoch.Live(raffle) {
			t.Fatal(args, err)
		}
		got, err := readmodel.ParseEvents(raffle, id, []byte(args[7]))
		name := fmt.Sprintf("%d %s", raffle, id)
		if err != nil || len(got) != len(want[name]) {
			t.Fatalf("%s: %d events, want %d, %v", name, len(got), len(want[name]), err)
		}
		for i, w := range want[name] {
			w.ID = readmodel.EventID{LSN: id.LSN, N: uint64(i + 1)}
			if got[i] != w {
				t.Errorf("%s: event %+v, want %+v", name, got[i], w)
			}
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

// fed is a feed, and what gives it rows of products.
func fed(t *testing.T) (f *handler, insert func(n int)) {
	t.Helper()
	f = &handler{ctx: context.Background(), queue: newQueue(1), projector: newProjector(1)}
	relation := &wal.Relation{ID: 1, Name: "public.products", Full: true, Columns: []wal.ColumnType{{Name: "id", OID: 20},
		{Name: "name", OID: 25}, {Name: "model", OID: 25}, {Name: "color", OID: 25}, {Name: "category", OID: 25}, {Name: "image_url", OID: 25},
		{Name: "release_price", OID: 20}, {Name: "release_date", OID: 1082}}}
	if err := f.Describe(relation); err != nil {
		t.Fatal(err)
	}
	m := &wal.Message{Kind: wal.Insert, Relation: relation}
	number, text := []byte{0, 0, 0, 1}, []byte("x")
	return f, func(n int) {
		for range n {
			wal.CopyRow(relation, [][]byte{number, text, text, text, text, text, number, number}, &m.New)
			if err := f.Row(m); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTransactionsShareAFlushAndALargeOneTakesSeveral_P2(t *testing.T) {
	f, insert := fed(t)
	insert(1)
	_ = f.Commit(10)
	insert(2)
	_ = f.Commit(20)
	_ = f.Position(15) // late: not past what was handed over
	_ = f.Position(25)
	_ = f.Begin(wal.Transaction{Final: 29})
	insert(maxChanges)
	b := <-f.queue.waiting
	if b.lsn != 25 || b.commits != 2 || b.changes != 3+maxChanges || !b.open {
		t.Errorf("first flush: lsn %d, %d commits, %d changes, open %v", b.lsn, b.commits, b.changes, b.open)
	}
	if want := (readmodel.EventID{LSN: 29}); b.version != want {
		t.Errorf("R1: the raffles' version is %s, want %s", b.version, want)
	}
	f.queue.release(b)
	insert(1)
	_ = f.Logical([]byte(heartbeat.MessagePrefix), []byte("1,2,123"))
	_ = f.Commit(30)
	b = <-f.queue.waiting
	if b.lsn != 30 || b.changes != 1 || b.open || b.beat.At != 123 {
		t.Errorf("last flush: lsn %d, %d changes, open %v, heartbeat %v", b.lsn, b.changes, b.open, b.beat)
	}
	// A list that was read between the two must not pass for the whole.
	if want := (readmodel.EventID{LSN: 29, N: 1}); b.version != want {
		t.Errorf("R1: the raffles' version of the second part is %s, want %s", b.version, want)
	}
}

// P2: while large transactions wait, the read model is whole between any two of them.
func TestNothingIsAddedToTheEndOfALargeTransaction_P2(t *testing.T) {
	f, insert := fed(t)
	must(t, f.Begin(wal.Transaction{Final: 9}))
	insert(maxChanges)
	f.queue.release(<-f.queue.waiting)
	insert(1)
	must(t, f.Commit(10))
	must(t, f.Begin(wal.Transaction{Final: 19}))
	insert(1)
	select {
	case b := <-f.queue.waiting:
		if b.lsn != 10 || b.changes != 1 || b.open {
			t.Errorf("lsn %d, %d changes, open %v", b.lsn, b.changes, b.open)
		}
	default:
		t.Error("the end of a large transaction was taken back")
	}
}
