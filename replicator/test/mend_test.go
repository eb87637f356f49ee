package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// whole waits until no part waits for a reload.
func (s *system) whole() {
	s.t.Helper()
	s.reached()
	testenv.Eventually(s.t, patience, "nothing waits for a reload", func() bool {
		return s.redis.Exists(s.ctx, readmodel.ReloadKey).Val() == 0
	})
}

// P12: a lost key is noticed at the next write to it, and its part is reloaded. Until then the key that this write made
// has no sentinel.
func TestLostKeyIsNoticedAtTheNextWriteAndReloaded_P12(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(2000)
	e := s.equal().Epoch
	const bid = "INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (4, 1, 270, 5000, clock_timestamp())"
	for n, c := range []struct {
		lost, part, write string
	}{
		{e.Newest(4, 270), "raffle", bid},
		{e.Highest(4, 270), "raffle", bid},
		{e.Newest(4, 270), "raffle", "DELETE FROM bids WHERE id = (SELECT min(id) FROM bids WHERE raffle_id = 4 AND size = 270)"},
		{e.Newest(4, 270), "raffle", "DELETE FROM bids WHERE raffle_id = 4 AND size = 270"},
		{e.Sizes(4), "raffle", bid},
		{e.SizeNewest(270), "size", bid},
		{e.SizeFloor(270), "size", bid},
		{e.Raffles(), "lists", "UPDATE raffles SET ends_at = ends_at + interval '1 hour' WHERE id = 3"},
		{e.Products(), "lists", "UPDATE products SET name = name || '.' WHERE id = 3"},
	} {
		was := s.metric(`replicator_lost_parts_total{part="` + c.part + `"}`)
		s.must(s.redis.Del(s.ctx, c.lost).Err())
		s.exec(c.write)
		testenv.Eventually(t, patience, c.lost+" is found to be lost", func() bool {
			return s.metric(`replicator_lost_parts_total{part="`+c.part+`"}`) != was
		})
		s.whole()
		s.equal()
		if now := s.reached().Epoch; now != e {
			t.Fatalf("%d: the whole read model was built anew", n)
		}
	}
	if !strings.Contains(s.Output(), "a part of the read model was lost") || !strings.Contains(s.Output(), `"parts":"raffle 4"`) {
		t.Error("the log does not tell what was lost and reloaded")
	}
}

// P12: all keys of a raffle are lost at once, under load.
func TestLostRaffleIsReloadedUnderLoad_P12(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(20_000)
	e := s.equal().Epoch
	stop := s.load()
	for range 3 {
		keys := []string{e.Sizes(7), e.Raffle(7)}
		for size := int16(250); size <= 300; size += 5 {
			keys = append(keys, e.Newest(7, size), e.Highest(7, size))
		}
		s.must(s.redis.Del(s.ctx, keys...).Err())
		s.must(s.redis.SAdd(s.ctx, readmodel.ReloadKey, "raffle 7", "size 260", "lists", "nonsense").Err())
		s.whole()
		s.clean()
	}
	s.expect("reload --raffle 5", 0, "raffle 5 is reloaded")
	s.expect("reload", 2, "exactly one of")
	stop()
	s.equal()
	if n := s.report().Rebuilds; n != 1 {
		t.Errorf("%d rebuilds", n)
	}
}

// P12: a reload that is interrupted by a stop leaves the raffle without sentinels, and is taken up again.
func TestInterruptedReloadIsTakenUpAgain_P12(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.StartPostgres(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(2000)
	e := s.equal().Epoch
	s.exec("BEGIN; UPDATE products SET name = 'open' WHERE id = 1") // no slot can be made meanwhile
	s.must(s.redis.SAdd(s.ctx, readmodel.ReloadKey, "raffle 4").Err())
	testenv.Eventually(t, patience, "the reload has begun", func() bool {
		return !s.redis.SIsMember(s.ctx, e.Sizes(4), readmodel.RaffleKnown).Val()
	})
	s.Kill(t)
	s.Start(t)
	s.exec("ROLLBACK")
	s.whole()
	s.equal()
}

// When a raffle is deleted, the sizes of its bids stay. If the raffle comes back it has them all.
func TestDeletedRaffleKeepsTheSizesOfItsBids(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(1000)
	e := s.equal().Epoch
	s.exec("CREATE TEMP TABLE kept AS SELECT * FROM raffles WHERE id = 4; DELETE FROM raffles WHERE id = 4")
	s.equal()
	if s.redis.SCard(s.ctx, e.Sizes(4)).Val() != 11 {
		t.Error("sizes are lost with the raffle")
	}
	s.exec("INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (4, 1, 400, 5000, clock_timestamp())")
	s.equal()
	s.exec("INSERT INTO raffles SELECT * FROM kept")
	s.whole()
	s.equal()
	s.clean()
}

// P12: a row that the read model can't hold takes only its own raffle out of the read model, until the row is
// corrected.
func TestPoisonedRowSpoilsOnlyWhatItBelongsTo_P12(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(2000)
	e := s.equal().Epoch
	s.exec(`ALTER TABLE raffles DROP CONSTRAINT raffles_times; ALTER TABLE bids DROP CONSTRAINT bids_created_at, DROP CONSTRAINT bids_size_check;
		ALTER TABLE products DROP CONSTRAINT products_release_date`)
	known := func(raffle int64) bool { return s.redis.SIsMember(s.ctx, e.Sizes(raffle), readmodel.RaffleKnown).Val() }
	for _, c := range []struct {
		name, poison, cure string
		spoiled            string
	}{
		{"infinite end", "UPDATE raffles SET ends_at = 'infinity' WHERE id = 4", "UPDATE raffles SET ends_at = '2040-01-01' WHERE id = 4", "lists,raffle 4"},
		{"year 12026", "UPDATE raffles SET ends_at = '12026-01-01' WHERE id = 4", "UPDATE raffles SET ends_at = '2040-01-01' WHERE id = 4", "lists,raffle 4"},
		{"infinite bid", "UPDATE bids SET created_at = 'infinity' WHERE id = (SELECT min(id) FROM bids WHERE raffle_id = 4 AND size = 270)",
			"UPDATE bids SET created_at = now() WHERE created_at = 'infinity'", "raffle 4,size 270"},
		{"infinite bid, deleted", "INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (4, 1, 270, 5, 'infinity')",
			"DELETE FROM bids WHERE created_at = 'infinity'", "raffle 4,size 270"},
		{"infinite bid, the only one of its size", "INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (4, 1, 991, 5, 'infinity')",
			"DELETE FROM bids WHERE created_at = 'infinity'", "raffle 4,size 991"},
		{"size 0", "INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (4, 1, 0, 5, now())", "DELETE FROM bids WHERE size = 0", "raffle 4"},
		{"product", "UPDATE products SET release_date = 'infinity' WHERE id = 2", "UPDATE products SET release_date = '2026-01-01' WHERE id = 2", "product 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			s.exec(c.poison)
			s.bids(50)
			s.whole()
			if got := s.poisoned(); got != c.spoiled {
				t.Errorf("spoiled are %s, want %s", got, c.spoiled)
			}
			if of4 := strings.Contains(c.spoiled, "raffle 4"); known(4) == of4 || !known(5) {
				t.Errorf("raffle 4 is read: %v, raffle 5 is read: %v", known(4), known(5))
			}
			s.unread(c.spoiled)
			s.clean()
			if s.report().Rebuilds == 1 { // also once as a row of the snapshot
				s.expect("rebuild", 0)
				e = s.reached().Epoch
				if got := s.poisoned(); got != c.spoiled || known(4) || !known(5) {
					t.Errorf("after a rebuild spoiled are %s, want %s", got, c.spoiled)
				}
				s.clean()
			}
			s.must(s.redis.SAdd(s.ctx, readmodel.ReloadKey, "raffle 4", "lists").Err())
			s.whole()
			if got := s.poisoned(); got != c.spoiled {
				t.Errorf("after a reload spoiled are %s, want %s", got, c.spoiled)
			}
			s.exec(c.cure)
			s.whole()
			testenv.Eventually(t, patience, "nothing is spoiled", func() bool { return s.poisoned() == "" })
			s.equal()
			s.clean()
		})
	}
	if st := s.report(); st.State != "streaming" || st.LastError != "" {
		t.Errorf("%+v", st)
	}
}

// P12: if a row is poisoned and corrected in the same write, here in the same transaction, what it spoiled is complete
// again. The reload of the lists examines all products anew, so it removes wrong notes and adds missing ones.
func TestRowPutRightWithinItsFlushSpoilsNothing_P12(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(500)
	s.exec(`ALTER TABLE raffles DROP CONSTRAINT raffles_times; ALTER TABLE bids DROP CONSTRAINT bids_created_at;
		ALTER TABLE products DROP CONSTRAINT products_release_date`)
	healed := func(what string) {
		t.Helper()
		s.whole()
		if got := s.poisoned(); got != "" {
			t.Errorf("%s: spoiled are %s", what, got)
		}
		s.equal()
		s.clean()
	}
	for _, c := range [][2]string{
		{"UPDATE products SET release_date = 'infinity' WHERE id = 2", "UPDATE products SET release_date = '2026-01-01' WHERE id = 2"},
		{"INSERT INTO products SELECT 99, name, model, color, category, image_url, release_price, 'infinity' FROM products WHERE id = 2",
			"DELETE FROM products WHERE id = 99"},
		{"UPDATE raffles SET ends_at = 'infinity' WHERE id = 4", "UPDATE raffles SET ends_at = '2040-01-01' WHERE id = 4"},
		{"INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (4, 1, 270, 5, 'infinity')", "DELETE FROM bids WHERE created_at = 'infinity'"},
	} {
		s.exec("BEGIN; " + c[0] + "; " + c[1] + "; COMMIT")
		healed(c[0])
	}
	s.must(s.redis.SAdd(s.ctx, readmodel.PoisonedKey, "product 3").Err())
	s.must(s.redis.SAdd(s.ctx, readmodel.ReloadKey, "lists").Err())
	healed("a note that is wrong")
	s.exec("UPDATE products SET release_date = 'infinity' WHERE id = 2")
	s.reached()
	s.must(s.redis.Del(s.ctx, readmodel.PoisonedKey).Err())
	s.must(s.redis.SAdd(s.ctx, readmodel.ReloadKey, "lists").Err())
	s.whole()
	if got := s.poisoned(); got != "product 2" {
		t.Errorf("after a reload spoiled are %s", got)
	}
	s.exec("UPDATE products SET release_date = '2026-01-01' WHERE id = 2")
	healed("put right after a reload")
}

// unread fails if the read model answers for a size among the names. The size must be known, and its set must lack its
// sentinel.
func (s *system) unread(names string) {
	s.t.Helper()
	e := s.reached().Epoch
	for name := range strings.SplitSeq(names, ",") {
		var size int16
		if n, _ := fmt.Sscanf(name, "size %d", &size); n == 0 {
			continue
		}
		if !s.redis.SIsMember(s.ctx, e.AllSizes(), int(size)).Val() {
			s.t.Errorf("%s is taken for one without bids", name)
		}
		if s.redis.ZScore(s.ctx, e.SizeNewest(size), readmodel.Sentinel).Err() == nil {
			s.t.Errorf("%s is taken for whole", name)
		}
	}
}

// poisoned returns the names of the parts that lack a row, in order.
func (s *system) poisoned() string {
	s.t.Helper()
	names, err := s.redis.Sort(s.ctx, readmodel.PoisonedKey, &sortByName).Result()
	s.must(err)
	return strings.Join(names, ",")
}

var sortByName = redis.Sort{Alpha: true}
