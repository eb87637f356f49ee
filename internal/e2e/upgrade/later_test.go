package upgrade

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// added is a field that a later release packs at the end.
const added = "\x09and text"

// laterBid is a bid of the feed alone, behind an event of an unknown kind.
const laterBid = 999_999_999

// readLater rewrites Redis as a later release with another format may have written it, and compares what query reads from it
// with what it read before. The replicator then makes it its own again.
func (s *stack) readLater(t *testing.T, feed *feed) {
	t.Helper()
	targets := []string{fmt.Sprintf("/v1/raffles/%d", openRaffle), "/v1/raffles?status=open&limit=200", "/v1/bids?size=270&limit=100",
		fmt.Sprintf("/v1/raffles/%d/bids?size=270&order=newest&limit=2000", openRaffle), fmt.Sprintf("/v1/raffles/%d/bids?size=270&order=highest&limit=2000", openRaffle)}
	before := make([][]byte, len(targets))
	for i, target := range targets {
		before[i] = s.fromRedis(t, target)
	}
	for _, on := range []*side{s.old, s.new} {
		if status := on.replicator.Stop(t); status != 0 {
			t.Errorf("the replicator of %s ends with status %d", on.name, status)
		}
	}
	cp := s.checkpoint(t)
	feed.follow(t, s.new, func() (bids, cancels map[int64]bool) {
		s.writeLater(t, cp)
		return map[int64]bool{laterBid: true}, nil
	})
	for i, target := range targets {
		if got := s.fromRedis(t, target); !bytes.Equal(got, before[i]) {
			t.Errorf("%s from what a later release wrote:\n%.2000s\nnot\n%.2000s", target, got, before[i])
		}
	}
	s.new.replicator.Start(t)
	testenv.Eventually(t, patience, "the replicator rebuilds what has another format", func() bool {
		now := s.checkpoint(t)
		return now.Epoch != cp.Epoch && now.Format == readmodel.Format
	})
	s.verify(t, s.new)
}

func (s *stack) fromRedis(t *testing.T, target string) []byte {
	t.Helper()
	var a answer
	testenv.EventuallyNoError(t, patience, "Redis answers", func() (err error) {
		a, err = s.want(t.Context(), http.StatusOK, "GET", s.new.queryURL+target, nil, "Read-Path", "redis")
		return err
	})
	return withoutCursor(t, a.body)
}

// writeLater gives every entry and member that the targets need a further field, the feed an event of an unknown kind, and the
// checkpoint another format and further fields.
func (s *stack) writeLater(t *testing.T, cp readmodel.Checkpoint) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.redis.Addr()})
	defer client.Close()
	e := cp.Epoch
	pipe := client.TxPipeline()
	sets := []string{e.Raffles(), e.SizeNewest(270)}
	for _, size := range sizes {
		sets = append(sets, e.Newest(openRaffle, int16(size)), e.Highest(openRaffle, int16(size)))
	}
	for _, key := range sets {
		members, err := client.ZRangeWithScores(t.Context(), key, 0, -1).Result()
		if err != nil || len(members) < 2 {
			t.Fatalf("%s has %d members, %v", key, len(members), err)
		}
		for _, m := range members {
			if m.Member != readmodel.Sentinel {
				pipe.ZRem(t.Context(), key, m.Member)
				pipe.ZAdd(t.Context(), key, redis.Z{Score: m.Score, Member: m.Member.(string) + added})
			}
		}
	}
	products, err := client.HGetAll(t.Context(), e.Products()).Result()
	if err != nil {
		t.Fatal(err)
	}
	for id, entry := range products {
		if id != readmodel.Sentinel {
			pipe.HSet(t.Context(), e.Products(), id, entry+added)
		}
	}
	pipe.Append(t.Context(), e.Raffle(openRaffle), added)
	pipe.Set(t.Context(), e.RafflesVersion(), "later", 0)
	bid := readmodel.Event{Kind: readmodel.EventBid, Bid: readmodel.Bid{ID: laterBid, Size: 270}}
	pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: e.Live(openRaffle), ID: readmodel.EventID{LSN: cp.LSN, N: 2}.String(),
		Values: []string{readmodel.LiveField, string(bid.AppendEvent([]byte("n\x03new"))), "further", "field"}})
	cp.Format++
	pipe.Set(t.Context(), readmodel.CheckpointKey, cp.String()+" further 7", 0)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}
