package test

import (
	"slices"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// pieced is a key that is written in several pieces, and an estimate of its members.
type pieced struct {
	key     func(readmodel.Epoch) string
	members int64
}

// piecedBids take more than one round of reading, and piecedEntries more than one MULTI.
const (
	piecedBids    = 25_000
	piecedEntries = 4_000
)

var piecedParts = map[string][]pieced{
	"raffle 1": {
		{func(e readmodel.Epoch) string { return e.Newest(1, 270) }, piecedBids},
		{func(e readmodel.Epoch) string { return e.Highest(1, 270) }, piecedBids},
	},
	"size 270": {{func(e readmodel.Epoch) string { return e.SizeNewest(270) }, readmodel.SizeKept}},
	"lists":    {{readmodel.Epoch.Raffles, piecedEntries}, {readmodel.Epoch.Products, piecedEntries}},
}

// fillPieces fills the keys of piecedParts.
func (s *system) fillPieces() {
	s.t.Helper()
	s.exec(`INSERT INTO bids (raffle_id, user_id, size, price, created_at)
		SELECT 1, 1, 270, 1 + (random() * 300)::int * 1000, clock_timestamp() FROM generate_series(1, $1::int)`, piecedBids)
	s.exec(`INSERT INTO products (name, model, color, category, image_url, release_price, release_date)
		SELECT name, model, color, category, image_url, release_price, release_date FROM products, generate_series(1, $1::int) WHERE id = 1`, piecedEntries)
	s.exec(`INSERT INTO raffles (product_id, seller_id, starts_at, ends_at)
		SELECT product_id, seller_id, starts_at, ends_at FROM raffles, generate_series(1, $1::int) WHERE id = 1`, piecedEntries)
}

// loseHalf deletes each key once, as soon as a part of it is in the epoch that is being built (0: none is). It returns
// the keys that it has not caught in part before done.
func (s *system) loseHalf(all []pieced, built func() readmodel.Epoch, done func() bool) (left []pieced) {
	left = slices.Clone(all)
	for end := time.Now().Add(patience); len(left) > 0 && time.Now().Before(end) && !done(); {
		e := built()
		left = slices.DeleteFunc(left, func(p pieced) bool {
			// A key is a sorted set or a hash. The command for the other type fails and gives 0.
			n := s.redis.ZCard(s.ctx, p.key(e)).Val() + s.redis.HLen(s.ctx, p.key(e)).Val()
			return n > 0 && n < p.members*9/10 && s.redis.Del(s.ctx, p.key(e)).Val() == 1
		})
	}
	return left
}

// P12: if a key is lost during the reload of its part, what is written to it later is not taken for the whole. The part
// is reloaded again.
func TestKeyThatIsLostDuringItsReloadIsReloadedAgain_P12(t *testing.T) {
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.fillPieces()
	e := s.equal().Epoch
	for part, keys := range piecedParts {
		for try := 1; len(keys) > 0; try++ {
			if try > tries {
				t.Fatalf("%s: %d keys were never there in part", part, len(keys))
			}
			s.must(s.redis.SAdd(s.ctx, readmodel.ReloadKey, part).Err())
			keys = s.loseHalf(keys, func() readmodel.Epoch { return e }, func() bool {
				return s.redis.Exists(s.ctx, readmodel.ReloadKey).Val() == 0
			})
			s.whole()
		}
		s.equal()
	}
	for _, kind := range []string{"raffle", "size", "lists"} {
		if s.metric(`replicator_lost_parts_total{part="`+kind+`"}`) == "0" {
			t.Errorf("%s: nothing tells that a part was lost", kind)
		}
	}
}

// P12: if a key is lost during a rebuild, what is written to it later is not taken for the whole, because it has no
// sentinel.
func TestKeyThatIsLostDuringARebuildHasNoSentinel_P12(t *testing.T) {
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.fillPieces()
	served := s.reached().Epoch
	var all []pieced
	for _, keys := range piecedParts {
		all = append(all, keys...)
	}
	s.must(s.redis.Del(s.ctx, readmodel.CheckpointKey).Err())
	built := func() (e readmodel.Epoch) {
		scanned(s.redis.Get(s.ctx, readmodel.RebuildKey).Val(), "%d", &e)
		return e
	}
	over := func() bool {
		now, err := readmodel.ParseCheckpoint(s.redis.Get(s.ctx, readmodel.CheckpointKey).Val())
		return err == nil && now.Epoch != served
	}
	left := s.loseHalf(all, built, over)
	all = slices.DeleteFunc(all, func(p pieced) bool { // the keys that were not lost
		return slices.ContainsFunc(left, func(l pieced) bool { return l.key(served) == p.key(served) })
	})
	if len(all) == 0 {
		t.Fatal("no key was ever there in part")
	}
	testenv.Eventually(t, patience, "the rebuild is over", over)
	e := s.reached().Epoch
	for _, p := range all {
		_, err := s.redis.ZScore(s.ctx, p.key(e), readmodel.Sentinel).Result()
		if held := s.redis.HExists(s.ctx, p.key(e), readmodel.Sentinel).Val(); err == nil || held {
			t.Errorf("%s: a part is taken for the whole", p.key(e))
		}
	}
	s.expect("verify --repair", 0)
	s.whole()
	s.equal()
}
