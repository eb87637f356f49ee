package project

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// P2: a transaction that a former process applied in part is not whole until its commit came again.
func TestOnlyACommitEndsApplying_P2(t *testing.T) {
	for _, c := range []struct {
		name string
		was  bool
		b    batch
		want bool
	}{
		{"whole transactions", false, batch{commits: 2, lsn: 30}, false},
		{"the first part", false, batch{open: true}, true},
		{"a part after whole ones", false, batch{commits: 1, lsn: 20, open: true}, true},
		{"a further part", true, batch{open: true}, true},
		{"the last part", true, batch{commits: 1, lsn: 30}, false},
		{"a position", false, batch{lsn: 20}, false},
		{"a position before the rest", true, batch{lsn: 20}, true},
	} {
		got := after(readmodel.Checkpoint{LSN: 10, Applying: c.was}, &c.b, time.Now())
		if got.Applying != c.want || got.LSN != max(c.b.lsn, 10) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestClaimTakesAWrongEpochAway_P4(t *testing.T) {
	ctx := context.Background()
	server := testenv.StartRedis(t)
	r := New(nil, &redis.Options{Addr: server.Addr()}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer r.redis.Close()
	cp := readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "pyramid_5", LSN: 9, Epoch: 5, Token: "old"}
	for reason, want := range map[status.Reason]string{status.Resume: "new", status.SlotMissing: "new", status.OtherTimeline: "", status.Evicted: ""} {
		r.redis.Set(ctx, readmodel.CheckpointKey, cp.String(), 0)
		f, claimed, err := r.claim(ctx, state{stored: cp.String()}, reason, "new")
		if err != nil {
			t.Fatal(err)
		}
		got, _ := readmodel.ParseCheckpoint(r.redis.Get(ctx, readmodel.CheckpointKey).Val())
		if got.Token != want || claimed.Token != want || r.redis.Exists(ctx, readmodel.CheckpointKey).Val() != int64(min(len(want), 1)) {
			t.Errorf("%q: %s, claimed %s", reason, got, claimed)
		}
		if err := f.Write(cp.String(), nothing); err != nil {
			t.Errorf("%q: the guard does not hold: %v", reason, err)
		}
		_ = f.Close()
	}
}
