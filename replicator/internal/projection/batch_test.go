package projection

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// commands returns the commands of a batch as a server would parse them.
func commands(t *testing.T, b *Batch) (all [][]string) {
	t.Helper()
	var c resp.Commands
	b.Append(&c)
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

// replay applies the commands of a batch to sets in memory, as Redis would execute ZADD and ZREM.
func replay(t *testing.T, b *Batch, sets map[string]map[string]string) {
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
		case "EXISTS": // the probe
		default:
			t.Errorf("command %v", args[:2])
		}
	}
}

func TestGroupedCommandsEndAsSingleOnes_P2(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	b := NewBatch(3)
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
		b.Reset()
		for key := range want {
			if fmt.Sprint(sets[key]) != fmt.Sprint(want[key]) {
				t.Fatalf("%s holds %v, want %v", key, sets[key], want[key])
			}
		}
	}
}

// The events of a raffle are numbered within their transaction, whatever lies between them. They become one entry with
// the id of the last event.
func TestEventsOfATransactionBecomeOneEntryARaffle(t *testing.T) {
	b, p := NewBatch(3), NewProjector(3)
	bid := func(raffle, id int64, remove bool) readmodel.Event {
		v := readmodel.Bid{RaffleID: raffle, ID: id, UserID: 1, CreatedAt: 5 * id, Price: 9, Quantity: 1, Size: 270}
		p.event(b, raffle, b.bid(v, remove))
		if remove {
			return readmodel.Event{Kind: readmodel.EventCancel, Bid: v}
		}
		return readmodel.Event{Kind: readmodel.EventBid, Bid: v}
	}
	want := map[string][]readmodel.Event{}
	p.Begin(100)
	want["7 100-3"] = append(want["7 100-3"], bid(7, 1, false))
	want["8 100-1"] = append(want["8 100-1"], bid(8, 2, false))
	want["7 100-3"] = append(want["7 100-3"], bid(7, 3, false), bid(7, 1, true))
	p.Begin(200)
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

// P2: a transaction that a former process applied in part is incomplete until its commit arrives again.
func TestOnlyACommitEndsApplying_P2(t *testing.T) {
	for _, c := range []struct {
		name string
		was  bool
		b    Batch
		want bool
	}{
		{"whole transactions", false, Batch{Commits: 2, lsn: 30}, false},
		{"the first part", false, Batch{open: true}, true},
		{"a part after whole ones", false, Batch{Commits: 1, lsn: 20, open: true}, true},
		{"a further part", true, Batch{open: true}, true},
		{"the last part", true, Batch{Commits: 1, lsn: 30}, false},
		{"a position", false, Batch{lsn: 20}, false},
		{"a position before the rest", true, Batch{lsn: 20}, true},
	} {
		got := c.b.Checkpoint(readmodel.Checkpoint{LSN: 10, Applying: c.was}, time.Now())
		if got.Applying != c.want || got.LSN != max(c.b.lsn, 10) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// R1: a reader does not take a list that it read between the parts of a transaction for the whole.
func TestEachPartOfATransactionHasAVersionOfTheList_R1(t *testing.T) {
	p, s := NewProjector(3), samples["product"]
	if err := p.Describe(s.relation); err != nil {
		t.Fatal(err)
	}
	m := &wal.Message{Relation: s.relation, Kind: wal.Insert}
	s.row(&m.New, false)
	p.Begin(29)
	for part := range uint64(2) {
		b := NewBatch(3)
		if err := p.Row(b, m); err != nil {
			t.Fatal(err)
		}
		p.Cut(b)
		if want := (readmodel.EventID{LSN: 29, N: part}); b.version != want {
			t.Errorf("the version of part %d is %s, want %s", part, b.version, want)
		}
	}
}
