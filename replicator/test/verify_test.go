package test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// verify compares in this process. Without a scope it compares everything.
func (s *system) verify(o verify.Options) verify.Report {
	s.t.Helper()
	var r verify.Report
	testenv.EventuallyNoError(s.t, patience, "a comparison", func() (err error) {
		r, err = s.tryVerify(o)
		return err
	})
	return r
}

func (s *system) tryVerify(o verify.Options) (verify.Report, error) {
	s.t.Helper()
	options, err := redis.ParseURL(s.server.URL())
	s.must(err)
	v := verify.New(s.dbs.URL("replicator"), options)
	defer v.Close()
	if o.Scope == (verify.Scope{}) {
		o.Scope = verify.Everything
	}
	o.Details = 100
	ctx, cancel := context.WithTimeout(s.ctx, 2*patience)
	defer cancel()
	return v.Run(ctx, o)
}

// clean compares and fails if anything differs.
func (s *system) clean() verify.Report {
	s.t.Helper()
	r := s.verify(verify.Options{})
	if r.Divergent != 0 || r.Keys == 0 {
		s.t.Fatalf("%d of %d keys differ: %v", r.Divergent, r.Keys, r.Findings)
	}
	return r
}

// change changes rows of every kind. turn makes the changes of two calls differ.
func (s *system) change(turn int) {
	s.t.Helper()
	s.exec("UPDATE bids SET price = price + 1000 WHERE size <> 405 AND id % 100 = $1", turn%100)
	s.exec("UPDATE raffles SET closed_at = now(), closing_price = $1 WHERE id = 1 + $1::int % 10", turn+1)
	s.exec("UPDATE products SET name = name || '.' WHERE id = 1")
}

func TestVerifyIsExactUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(20_000)
	s.reached()
	// Two keys for each set, two for each raffle, one for each size, and the two lists.
	if r := s.clean(); r.Keys != 2*110+2*10+11+2 || r.Rows != 20_000 || r.Members != 40_000 {
		t.Errorf("%+v", r)
	}
	stop := s.load()
	defer stop()
	for turn, until := 0, time.Now().Add(3*time.Second); time.Now().Before(until); turn++ {
		s.change(turn)
		s.clean()
	}
	s.exec("TRUNCATE bids")
	s.clean()
}

// While a transaction is half applied in Redis nothing can be compared. What was read then is read again.
func TestVerifyIsExactAmongLargeTransactions(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(50_000)
	s.reached()
	ended, stopped := make(chan struct{}), make(chan struct{})
	other, err := pgx.Connect(s.ctx, s.dbs.URL("postgres"))
	s.must(err)
	defer other.Close(s.ctx)
	go func() {
		defer close(stopped)
		for turn := 0; ; turn++ {
			select {
			case <-ended:
				return
			default:
			}
			var after lsn.LSN
			_, err := other.Exec(s.ctx, "UPDATE bids SET price = price + 1 WHERE id % 5 = $1", turn%5)
			var text string
			if err == nil {
				err = other.QueryRow(s.ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&text)
			}
			if err == nil {
				after, err = lsn.Parse(text)
			}
			if err != nil {
				t.Error(err)
				return
			}
			s.followed(after, ended)
		}
	}()
	for until := time.Now().Add(3 * time.Second); time.Now().Before(until); {
		s.clean()
	}
	close(ended)
	<-stopped
	s.clean()
}

// followed waits until the read model has reached a position, so that a slow machine is not overrun, or until ended is
// closed.
func (s *system) followed(to lsn.LSN, ended <-chan struct{}) {
	for {
		if c, err := s.checkpoint(); err == nil && c.LSN >= to {
			return
		}
		select {
		case <-ended:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// churn inserts bids, some of size 405, and deletes bids of other sizes, until stop is called. The bids of size 405
// stay, so that damage to them is not repaired by chance. It deletes none that the first twenty turns of change update, because
// both would lock the same rows in different orders. The pauses keep the comparisons, which take longer the more such
// bids there are, from taking minutes.
func (s *system) churn() (stop func()) {
	conn, err := pgx.Connect(s.ctx, s.dbs.URL("postgres"))
	s.must(err)
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		pause := time.NewTicker(4 * time.Millisecond)
		defer pause.Stop()
		for {
			select {
			case <-ended:
				return
			case <-pause.C:
			}
			_, err := conn.Exec(s.ctx, `INSERT INTO bids (raffle_id, user_id, size, price, created_at)
				SELECT i % 10 + 1, 1, CASE WHEN random() < 0.1 THEN 405 ELSE 250 END, 1000 + i, clock_timestamp() FROM generate_series(1, 20) i`)
			if err == nil {
				_, err = conn.Exec(s.ctx, "DELETE FROM bids WHERE size = 250 AND id % 100 >= 20 AND id < (SELECT max(id) - 2000 FROM bids)")
			}
			if err != nil {
				s.t.Error(err)
				return
			}
		}
	}()
	return func() {
		close(ended)
		<-stopped
		s.must(conn.Close(s.ctx))
	}
}

// planted are damages to the read model, each to a key of its own.
var planted = []struct {
	name  string
	plant func(s *system, e readmodel.Epoch) (key string)
	text  string // a text in the finding
}{
	{"a bid is missing", func(s *system, e readmodel.Epoch) string {
		s.must(s.redis.ZRemRangeByRank(s.ctx, e.Newest(1, 405), 5, 6).Err())
		return e.Newest(1, 405)
	}, "2 missing (missing: bid "},
	{"a bid is too many", func(s *system, e readmodel.Epoch) string {
		b := readmodel.Bid{ID: 1 << 40, UserID: 1, CreatedAt: 1, Price: 7, Quantity: 1}
		s.must(s.redis.ZAdd(s.ctx, e.Highest(2, 405), redis.Z{Score: -7, Member: b.AppendMember(nil)}).Err())
		return e.Highest(2, 405)
	}, "1 extra (extra: bid 1099511627776 of raffle 2, price 7"},
	{"something else is in a set", func(s *system, e readmodel.Epoch) string {
		s.must(s.redis.ZAdd(s.ctx, e.Highest(2, 405), redis.Z{Score: 0, Member: "junk"}).Err())
		return e.Highest(2, 405)
	}, `1 extra (extra: "junk")`},
	{"a score is wrong in one order", func(s *system, e readmodel.Epoch) string {
		s.must(s.redis.ZIncrBy(s.ctx, e.Highest(3, 405), -1, s.redis.ZRange(s.ctx, e.Highest(3, 405), 3, 3).Val()[0]).Err())
		return e.Highest(3, 405)
	}, "1 wrong (wrong score: bid "},
	{"a sentinel is gone", func(s *system, e readmodel.Epoch) string {
		s.must(s.redis.ZRem(s.ctx, e.Highest(4, 405), readmodel.Sentinel).Err())
		return e.Highest(4, 405)
	}, "1 missing (missing: the sentinel)"},
	{"a set is of nobody", func(s *system, e readmodel.Epoch) string {
		s.must(s.redis.ZAdd(s.ctx, e.Newest(4242, 405), redis.Z{Score: 1, Member: "junk"}).Err())
		return e.Newest(4242, 405)
	}, "1 extra"},
	{"a size is not a member", func(s *system, e readmodel.Epoch) string {
		s.must(s.redis.SRem(s.ctx, e.Sizes(6), "405").Err())
		return e.Sizes(6)
	}, "1 missing (missing: size 405)"},
	{"a raffle's entry is wrong", func(s *system, e readmodel.Epoch) string {
		s.must(s.redis.Append(s.ctx, e.Raffle(7), "x").Err())
		return e.Raffle(7)
	}, "1 wrong (wrong entry: entry)"},
	{"a raffle is not listed", func(s *system, e readmodel.Epoch) string {
		s.must(s.redis.ZRemRangeByRank(s.ctx, e.Raffles(), 0, 0).Err())
		return e.Raffles()
	}, "1 missing (missing: raffle "},
	{"a product is another", func(s *system, e readmodel.Epoch) string {
		s.must(s.redis.HSet(s.ctx, e.Products(), "3", "x").Err())
		return e.Products()
	}, "1 wrong (wrong entry: product 3)"},
	{"a bid is missing over all raffles", func(s *system, e readmodel.Epoch) string {
		s.must(s.redis.ZRemRangeByRank(s.ctx, e.SizeNewest(405), -3, -3).Err())
		return e.SizeNewest(405)
	}, "1 missing (missing: bid "},
}

func TestVerifyFindsAndRepairsUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(20_000)
	s.exec("UPDATE bids SET size = 405 WHERE id % 7 < 2")
	s.reached()
	s.clean()
	stop := s.churn()
	for turn, p := range planted {
		key := p.plant(s, s.reached().Epoch)
		s.change(turn)
		found := s.verify(verify.Options{})
		if found.Divergent != 1 || found.Findings[0].Key != key || !strings.Contains(found.Findings[0].String(), p.text) {
			t.Errorf("%s, %s: %d differ, %v", p.name, key, found.Divergent, found.Findings)
		}
		repaired := s.verify(verify.Options{Repair: true})
		if repaired.Divergent != 1 || repaired.Repaired != 1 {
			t.Errorf("%s: not repaired: %+v", p.name, repaired)
		}
		s.clean()
	}
	stop()
	s.equal()
	if n := s.report().Rebuilds; n != 1 {
		t.Errorf("%d rebuilds: the epoch was to be repaired", n)
	}
}

// If a key of another type is written to, the write fails and a rebuild follows. Here nobody writes to the key.
func TestVerifyRepairsAKeyOfAnotherType(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(2000)
	key := s.reached().Epoch.Newest(5, 270)
	s.must(s.redis.Set(s.ctx, key, "x", 0).Err())
	r := s.verify(verify.Options{Scope: verify.Scope{After: 4, To: 5}, Repair: true})
	if r.Divergent != 1 || r.Repaired != 1 || !strings.Contains(r.Findings[0].String(), "it is another type") {
		t.Errorf("%+v", r)
	}
	s.equal()
}

// All keys differ at once, and they belong to more parts than one reload takes.
func TestVerifyRepairsManyKeys(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.exec("INSERT INTO raffles (product_id, seller_id, starts_at, ends_at) SELECT 1, 1, '2026-01-01', '2036-01-01' FROM generate_series(1, 400)")
	s.exec(`INSERT INTO bids (raffle_id, user_id, size, price, created_at)
		SELECT i % 410 + 1, 1, 250 + 5 * (i % 2), 1000 + i, clock_timestamp() FROM generate_series(1, 8200) i`)
	e := s.reached().Epoch
	for raffle := range int64(300) {
		s.must(s.redis.ZRemRangeByRank(s.ctx, e.Newest(raffle+1, 250+5*int16(raffle%2)), 0, 4).Err())
		s.must(s.redis.Del(s.ctx, e.Sizes(raffle+1)).Err())
	}
	for _, p := range planted[8:10] {
		p.plant(s, e)
	}
	if r := s.verify(verify.Options{Repair: true}); r.Divergent != 602 || r.Repaired != r.Divergent || len(r.Findings) != 100 {
		t.Fatalf("%d differ, %d repaired, %d findings", r.Divergent, r.Repaired, len(r.Findings))
	}
	s.equal()
}
