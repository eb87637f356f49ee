package project

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

func TestP1OnlySettledCheckpointsAreConfirmed(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(1_000_000 + int64(ms)) }
	d := &durable{confirmed: 5}
	for ms := 0; ms <= 1000; ms += 10 {
		d.wrote(readmodel.LSN(100+ms), at(ms))
	}
	for _, c := range []struct {
		ms   int
		most readmodel.LSN
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

// replay applies a batch's commands to sets in memory: what Redis does with ZADD and ZREM.
func replay(t *testing.T, b *batch, sets map[string]map[string]string) {
	b.each(func(args []any) {
		key := args[1].(string)
		if sets[key] == nil {
			sets[key] = make(map[string]string)
		}
		switch args[0] {
		case "zadd":
			for i := 2; i < len(args); i += 2 {
				sets[key][*args[i+1].(*string)] = fmt.Sprint(*args[i].(*int64))
			}
		case "zrem":
			for i := 2; i < len(args); i++ {
				delete(sets[key], *args[i].(*string))
			}
		case "eval":
		default:
			t.Errorf("command %v", args[0])
		}
	})
}

func TestP2GroupedCommandsEndAsSingleOnes(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	b := newBatch(3)
	sets, want := make(map[string]map[string]string), make(map[string]map[string]string)
	for range 50 {
		for range random.IntN(200) {
			v := readmodel.Bid{RaffleID: random.Int64N(3), ID: random.Int64N(10), UserID: 1, CreatedAt: 5, Price: 9, Quantity: 1, Size: 270}
			remove := random.IntN(2) == 0
			b.bid(v, remove)
			for key, score := range map[string]float64{
				b.epoch.Newest(v.RaffleID, v.Size): v.NewestScore(), b.epoch.Highest(v.RaffleID, v.Size): v.HighestScore()} {
				if want[key] == nil {
					want[key] = make(map[string]string)
				}
				if member := string(v.AppendMember(nil)); remove {
					delete(want[key], member)
				} else {
					want[key][member] = fmt.Sprint(int64(score))
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

func TestP2TransactionsShareAFlushAndALargeOneTakesSeveral(t *testing.T) {
	f := &feed{ctx: context.Background(), queue: newQueue(1), projector: newProjector(1)}
	relation := &wal.Relation{ID: 1, Name: "public.products", Full: true}
	for _, c := range tables[relation.Name].columns {
		relation.Columns = append(relation.Columns, wal.ColumnType{Name: c.name, OID: map[wal.Class]uint32{wal.Integer: 20, wal.Text: 25, wal.Date: 1082}[c.class]})
	}
	if err := f.Describe(relation); err != nil {
		t.Fatal(err)
	}
	m := &wal.Message{Kind: wal.Insert, Relation: relation}
	number, text := []byte{0, 0, 0, 1}, []byte("x")
	insert := func(n int) {
		for range n {
			wal.CopyRow(relation, [][]byte{number, text, text, text, text, text, number, number}, &m.New)
			if err := errors.Join(f.Row(m)); err != nil {
				t.Fatal(err)
			}
		}
	}
	insert(1)
	_ = f.Commit(10)
	insert(2)
	_ = f.Commit(20)
	_ = f.Position(15) // late: not past what was handed over
	_ = f.Position(25)
	insert(maxChanges)
	b := <-f.queue.waiting
	if b.lsn != 25 || b.commits != 2 || b.changes != maxChanges || !b.open {
		t.Errorf("first flush: lsn %d, %d commits, %d changes, open %v", b.lsn, b.commits, b.changes, b.open)
	}
	f.queue.release(b)
	_ = f.Logical([]byte(probePrefix), []byte("123"))
	_ = f.Commit(30)
	b = <-f.queue.waiting
	if b.lsn != 30 || b.changes != 3 || b.open || b.probeAt != 123 {
		t.Errorf("last flush: lsn %d, %d changes, open %v, probe %d", b.lsn, b.changes, b.open, b.probeAt)
	}
}
