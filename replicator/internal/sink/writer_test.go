package sink

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func setting(key, value string) func(*resp.Commands) {
	return func(c *resp.Commands) { c.Add("SET", key, value) }
}

func TestNothingIsWrittenOverAnotherOrAFlushedRedis_P2(t *testing.T) {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: testenv.StartRedis(t).Addr(), MaxRetries: -1})
	defer client.Close()
	for name, interfere := range map[string]func() error{
		"flushed":       func() error { return client.FlushAll(ctx).Err() },
		"other":         func() error { return client.Set(ctx, "guard", "other", 0).Err() },
		"same value":    func() error { return client.Set(ctx, "guard", "one", 0).Err() },
		"killed client": func() error { return client.ClientKillByFilter(ctx, "TYPE", "normal", "SKIPME", "yes").Err() },
	} {
		if err := client.FlushAll(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		f, err := Watch(ctx, client, "guard", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Write("one", setting("data", "1")); err != nil {
			t.Fatal(err)
		}
		if err := interfere(); err != nil {
			t.Fatal(err)
		}
		if err := f.Write("two", setting("data", "2")); err == nil || (name != "killed client" && !errors.Is(err, ErrFenced)) {
			t.Errorf("%s: %v", name, err)
		}
		if got := client.Get(ctx, "data").Val(); got == "2" {
			t.Errorf("%s: written all the same", name)
		}
		if err := f.Write("three", setting("data", "3")); err == nil && name == "killed client" {
			t.Error("a lost connection was replaced: its WATCH is gone")
		}
		if err := f.Close(); err != nil {
			t.Logf("%s: close: %v", name, err)
		}
	}
	if _, err := Watch(ctx, client, "guard", "something else"); !errors.Is(err, ErrFenced) {
		t.Errorf("armed on another value: %v", err)
	}
}

func TestTornFlushIsNoticed_P2(t *testing.T) {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: testenv.StartRedis(t).Addr(), MaxRetries: -1})
	defer client.Close()
	f, err := Watch(ctx, client, "guard", "")
	if err != nil {
		t.Fatal(err)
	}
	err = f.Write("one", func(c *resp.Commands) {
		c.Add("SET", "k", "v")
		c.Add("ZADD", "k", "1", "m")
	})
	if !errors.Is(err, ErrTorn) {
		t.Errorf("a command that failed within EXEC: %v", err)
	}
}

// P2: a transaction that was applied in part before a restart is sent again. Its events that the stream has already are
// no error.
func TestRepeatedEventsAreNoError_P2(t *testing.T) {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: testenv.StartRedis(t).Addr(), MaxRetries: -1})
	defer client.Close()
	f, err := Watch(ctx, client, "guard", "")
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range []string{"one", "two"} {
		err := f.Write(value, func(c *resp.Commands) {
			c.Add("XADD", "s", "5-2", "e", "x")
			c.Add("SET", "k", value)
		})
		if err != nil || client.Get(ctx, "k").Val() != value || client.XLen(ctx, "s").Val() != 1 {
			t.Errorf("time %d: %v", i+1, err)
		}
	}
	if err := f.Write("three", func(c *resp.Commands) { c.Add("NOSUCH"); c.Add("SET", "k", "three") }); err == nil || errors.Is(err, ErrTorn) {
		t.Errorf("a command that can't be queued: %v", err)
	}
	if got := client.Get(ctx, "k").Val(); got != "two" {
		t.Errorf("the rest of it was applied: %s", got)
	}
}

func TestSweepIsFencedAndKeepsTheServedEpoch_P4(t *testing.T) {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: testenv.StartRedis(t).Addr()})
	defer client.Close()
	for e := range readmodel.Epoch(5) {
		for raffle := range int64(300) {
			client.Set(ctx, e.Raffle(raffle), "x", 0)
		}
	}
	client.Set(ctx, "unrelated", "x", 0)
	client.Set(ctx, readmodel.RebuildKey, "4 mine 1", 0)
	if _, err := Sweep(ctx, client, readmodel.RebuildKey, "other", Epochs{4: true}, 0); !errors.Is(err, ErrFenced) {
		t.Errorf("with another's token: %v", err)
	}
	n, err := Sweep(ctx, client, readmodel.RebuildKey, "mine", Epochs{3: true, 4: true}, time.Microsecond)
	if n != 900 || err != nil || client.DBSize(ctx).Val() != 602 {
		t.Errorf("removed %d, %v, left %d", n, err, client.DBSize(ctx).Val())
	}
}

func TestAnothersCheckpointIsNotRemoved_P9(t *testing.T) {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: testenv.StartRedis(t).Addr()})
	defer client.Close()
	cp := readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "pyramid_5", Epoch: 5, Token: "successor"}
	client.Set(ctx, readmodel.CheckpointKey, cp.String(), 0)
	if err := Remove(ctx, client, readmodel.CheckpointKey, "mine", ""); !errors.Is(err, ErrFenced) {
		t.Errorf("with another's token: %v", err)
	}
	if n := client.Exists(ctx, readmodel.CheckpointKey).Val(); n != 1 {
		t.Fatal("it is gone")
	}
	client.Set(ctx, cp.Epoch.Raffle(1), "x", 0)
	if _, err := Sweep(ctx, client, "", "", nil, 0); !errors.Is(err, ErrFenced) {
		t.Errorf("swept beside a checkpoint: %v", err)
	}
	for range 2 {
		if err := Remove(ctx, client, readmodel.CheckpointKey, "successor", ""); err != nil {
			t.Error(err)
		}
	}
	if n, err := Sweep(ctx, client, "", "", nil, 0); n != 1 || err != nil {
		t.Errorf("with no checkpoint %d keys are swept, %v", n, err)
	}
}
