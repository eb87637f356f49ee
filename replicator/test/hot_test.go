package test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// hotMembers is the size of the hottest set of the full data set.
const hotMembers = 40_000

// drop makes rate bids a second on size 270 of a raffle until stop is called, which returns their number.
func (s *system) drop(raffle int64, rate int) (stop func() int) {
	conn, err := pgx.Connect(s.ctx, s.dbs.URL("postgres"))
	s.must(err)
	ctx, cancel := context.WithCancel(s.ctx)
	bids := make(chan int)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		n, begun := 0, time.Now()
		for ctx.Err() == nil {
			<-tick.C
			due := int(time.Since(begun).Seconds()*float64(rate)) - n
			_, err := conn.Exec(s.ctx, `INSERT INTO bids (raffle_id, user_id, size, price, created_at)
				SELECT $2::bigint, 1, 270, 1 + (random() * 300)::int * 1000, clock_timestamp() FROM generate_series(1, $1::int)`, due, raffle)
			if err != nil {
				s.t.Error(err)
			}
			n += due
		}
		bids <- n
	}()
	return func() int {
		cancel()
		defer conn.Close(s.ctx)
		return <-bids
	}
}

// P12: the hottest raffle gets HOT_RATE bids a second, 1,000 by default, while its largest set is damaged. Each damage
// is repaired within a minute.
func TestHottestSetIsMendedUnderLoad_P12(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=1s")
	s.exec(`INSERT INTO bids (raffle_id, user_id, size, price, created_at)
		SELECT 1, 1, 270, 1 + (random() * 300)::int * 1000, clock_timestamp() FROM generate_series(1, $1::int)`, hotMembers)
	e := s.reached().Epoch
	begun, stop := time.Now(), s.drop(1, int(fromEnv(t, "HOT_RATE", 1000)))
	for _, c := range []struct {
		name   string
		damage func()
	}{
		{"members are missing", func() { s.must(s.redis.ZRemRangeByRank(s.ctx, e.Newest(1, 270), 1000, 1300).Err()) }},
		{"scores are wrong", func() {
			for _, member := range s.redis.ZRange(s.ctx, e.Highest(1, 270), 20_000, 20_050).Val() {
				s.must(s.redis.ZIncrBy(s.ctx, e.Highest(1, 270), -5000, member).Err())
			}
		}},
		{"the sentinel is missing", func() { s.must(s.redis.ZRem(s.ctx, e.Highest(1, 270), readmodel.Sentinel).Err()) }},
		{"a bid is too many", func() {
			b := readmodel.Bid{ID: 1 << 40, UserID: 1, CreatedAt: 1, Price: 7, Quantity: 1}
			s.must(s.redis.ZAdd(s.ctx, e.Highest(1, 270), redis.Z{Score: -7, Member: b.AppendMember(nil)}).Err())
		}},
		{"the set is lost", func() { s.must(s.redis.Del(s.ctx, e.Newest(1, 270)).Err()) }},
	} {
		was, at := s.metric(`replicator_reloads_total{part="raffle"}`), time.Now()
		c.damage()
		testenv.EventuallyNoError(t, time.Minute, c.name+": it is mended", func() error {
			if now := s.metric(`replicator_reloads_total{part="raffle"}`); now == was {
				return fmt.Errorf("%s reloads", now)
			}
			return nil
		})
		// If a key is damaged but not lost while its raffle is being reloaded, only the next comparison finds that.
		var r verify.Report
		testenv.EventuallyNoError(t, time.Minute-time.Since(at), c.name+": nothing differs", func() error {
			if r = s.verify(verify.Options{Scope: verify.Scope{To: 1}}); r.Divergent != 0 {
				return fmt.Errorf("%d keys differ: %v", r.Divergent, r.Findings)
			}
			return nil
		})
		t.Logf("%s: mended after %v, then %d members compared in %v", c.name, time.Since(at).Round(time.Millisecond), r.Members, r.Took.Round(time.Millisecond))
	}
	n := stop()
	t.Logf("%.0f bids a second", float64(n)/time.Since(begun).Seconds())
	s.whole()
	s.equal()
	s.clean()
	if r := s.report().Rebuilds; r != 1 {
		t.Errorf("%d rebuilds", r)
	}
}
