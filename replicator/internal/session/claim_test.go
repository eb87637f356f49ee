package session

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

func TestClaimTakesAWrongEpochAway_P4(t *testing.T) {
	ctx := context.Background()
	server := testenv.StartRedis(t)
	r := New(nil, &redis.Options{Addr: server.Addr()}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer r.redis.Close()
	cp := readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "pyramid_5", LSN: 9, Epoch: 5, Token: "old"}
	for reason, want := range map[status.Reason]string{status.Resume: "new", status.SlotMissing: "new", status.OtherTimeline: "", status.Evicted: ""} {
		r.redis.Set(ctx, readmodel.CheckpointKey, cp.String(), 0)
		f, claimed, err := (&session{Replicator: r, state: state{stored: cp.String()}, reason: reason, token: "new"}).claim(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := readmodel.ParseCheckpoint(r.redis.Get(ctx, readmodel.CheckpointKey).Val())
		if got.Token != want || claimed.Token != want || r.redis.Exists(ctx, readmodel.CheckpointKey).Val() != int64(min(len(want), 1)) {
			t.Errorf("%q: %s, claimed %s", reason, got, claimed)
		}
		if err := f.Write(cp.String(), func(*resp.Commands) {}); err != nil {
			t.Errorf("%q: the guard does not hold: %v", reason, err)
		}
		_ = f.Close()
	}
}

// P4: a checkpoint that another release wrote, and that this one can't read, is taken away before its keys are.
func TestClaimTakesACheckpointOfAnotherVersionAway_P4(t *testing.T) {
	ctx := context.Background()
	server := testenv.StartRedis(t)
	r := New(nil, &redis.Options{Addr: server.Addr()}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer r.redis.Close()
	found := state{stored: "4 of a later release"}
	r.redis.Set(ctx, readmodel.CheckpointKey, found.stored, 0)
	guard, _, err := (&session{Replicator: r, state: found, reason: decide(found), token: "new"}).claim(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	if got := r.redis.Get(ctx, readmodel.CheckpointKey).Val(); got != "" || guard.Value() != "" {
		t.Errorf("the checkpoint is %q, the guard %q", got, guard.Value())
	}
}
