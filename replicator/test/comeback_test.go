package test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// P12, R1: a raffle is removed and inserted again, while its bids stay. If its sizes are lost in between, nothing
// notices that before the raffle is back. Then nobody may read it until it is reloaded, because its sizes would be
// incomplete.
func TestRaffleWhoseSizesWereLostComesBackOnlyAfterAReload_P12(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.StartPostgres(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(2000)
	e := s.equal().Epoch
	holder, err := pgx.Connect(s.ctx, s.dbs.URL("postgres"))
	s.must(err)
	defer holder.Close(context.Background())
	lose := func(keys ...string) func() {
		return func() { s.reached(); s.must(s.redis.Del(s.ctx, keys...).Err()) }
	}
	remove := func() {
		s.exec("CREATE TEMP TABLE kept AS SELECT * FROM raffles WHERE id = 4; DELETE FROM raffles WHERE id = 4")
	}
	comeBack := func() { s.exec("INSERT INTO raffles SELECT * FROM kept; DROP TABLE kept") }
	bid := func(size int) func() {
		return func() {
			s.exec("INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (4, 1, $1, 5000, clock_timestamp())", size)
		}
	}
	all := []string{e.Sizes(4), e.Raffle(4), e.Live(4)}
	for size := int16(250); size <= 300; size += 5 {
		all = append(all, e.Newest(4, size), e.Highest(4, size))
	}
	for _, c := range []struct {
		name  string
		steps []func()
	}{
		{"lost before", []func(){lose(e.Sizes(4)), remove, comeBack}},
		{"lost between", []func(){remove, lose(e.Sizes(4)), comeBack}},
		{"lost before, and another bid", []func(){lose(e.Sizes(4)), remove, bid(400), comeBack}},
		{"lost between, and another bid", []func(){remove, bid(405), lose(e.Sizes(4)), bid(410), comeBack}},
		{"lost with all sets", []func(){lose(all...), remove, comeBack}},
		{"all sizes are lost", []func(){lose(e.Sizes(4), e.AllSizes()), remove, comeBack}},
		{"nothing is lost", []func(){remove, comeBack}},
		{"one transaction", []func(){lose(e.Sizes(4)), func() { s.exec("BEGIN") }, remove, comeBack, func() { s.exec("COMMIT") }}},
	} {
		// While this transaction is open no slot can be made, so nothing is reloaded.
		_, err := holder.Exec(s.ctx, "BEGIN; UPDATE products SET name = name WHERE id = 1")
		s.must(err)
		for _, step := range c.steps {
			step()
		}
		s.reached()
		if s.redis.SIsMember(s.ctx, e.Sizes(4), readmodel.RaffleKnown).Val() {
			t.Errorf("%s: the raffle is read, with the sizes %v", c.name, s.redis.SMembers(s.ctx, e.Sizes(4)).Val())
		}
		if !s.redis.SIsMember(s.ctx, readmodel.ReloadKey, "raffle 4").Val() {
			t.Errorf("%s: the raffle does not wait for a reload", c.name)
		}
		_, err = holder.Exec(s.ctx, "ROLLBACK")
		s.must(err)
		s.must(s.redis.SAdd(s.ctx, readmodel.ReloadKey, "lists").Err())
		s.whole()
		s.equal()
	}
	if now := s.reached().Epoch; now != e {
		t.Error("the whole read model was built anew")
	}
}

// P12, R1: a change that takes a raffle out of the read model does so even if the raffle's sizes, which tell its sets,
// were lost.
func TestRaffleWhoseSizesWereLostIsTakenOut_P12(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.StartPostgres(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(2000)
	s.exec("ALTER TABLE bids DROP CONSTRAINT bids_created_at")
	e := s.equal().Epoch
	holder, err := pgx.Connect(s.ctx, s.dbs.URL("postgres"))
	s.must(err)
	defer holder.Close(context.Background())
	for raffle, sql := range map[int64]string{
		4: "DELETE FROM raffles WHERE id = 4",
		5: "UPDATE bids SET created_at = 'infinity' WHERE id = (SELECT min(id) FROM bids WHERE raffle_id = 5)",
	} {
		_, err := holder.Exec(s.ctx, "BEGIN; UPDATE products SET name = name WHERE id = 1")
		s.must(err)
		s.must(s.redis.Del(s.ctx, e.Sizes(raffle)).Err())
		s.exec(sql)
		s.reached()
		if whole := s.sentinels(e, raffle); len(whole) > 0 {
			t.Errorf("%s: sets are read of the sizes %v", sql, whole)
		}
		_, err = holder.Exec(s.ctx, "ROLLBACK")
		s.must(err)
		s.whole()
	}
	s.exec("UPDATE bids SET created_at = '2026-01-01' WHERE created_at = 'infinity'")
	s.whole()
	s.equal()
}

// sentinels returns the sizes of a raffle that have a sentinel in one of their sets.
func (s *system) sentinels(e readmodel.Epoch, raffle int64) (sizes []int16) {
	s.t.Helper()
	for size := int16(250); size <= 410; size += 5 {
		for _, key := range []string{e.Newest(raffle, size), e.Highest(raffle, size)} {
			if _, err := s.redis.ZScore(s.ctx, key, readmodel.Sentinel).Result(); err == nil {
				sizes = append(sizes, size)
			}
		}
	}
	return sizes
}

// A new raffle is read at once, without a reload, as long as there are not very many sizes.
func TestNewRaffleIsReadWithoutAReload(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(500)
	e := s.equal().Epoch
	const raffle = `INSERT INTO raffles (id, product_id, seller_id, starts_at, ends_at) VALUES ($1, 1, 1, now(), '2040-01-01')`
	s.exec(raffle, 99)
	s.equal()
	if waiting := s.redis.SMembers(s.ctx, readmodel.ReloadKey).Val(); len(waiting) > 0 || s.metric(`replicator_reloads_total{part="raffle"}`) != "0" {
		t.Errorf("a new raffle is reloaded: %v", waiting)
	}
	s.exec("INSERT INTO bids (raffle_id, user_id, size, price, created_at) SELECT 5, 1, i, 5000, clock_timestamp() FROM generate_series(1, 201) i")
	s.exec(raffle, 100)
	s.whole()
	s.equal()
	if !s.redis.SIsMember(s.ctx, e.Sizes(100), readmodel.RaffleKnown).Val() {
		t.Error("among many sizes a new raffle is not read after its reload")
	}
}
