package test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// Large keys are compared in pieces. No piece holds up Redis for long, and the comparison is exact under load.
func TestVerifyComparesLargeKeysInPieces(t *testing.T) {
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.exec("INSERT INTO raffles (product_id, seller_id, starts_at, ends_at) SELECT 1, 1, '2026-01-01', timestamptz '2036-01-01' + i / 7 * interval '1 hour' FROM generate_series(1, 5000) i")
	s.exec(`INSERT INTO products (name, model, color, category, image_url, release_price, release_date)
		SELECT 'shoe '||i, 'm'||i, 'red', 'sneaker', '/'||i, 1000*i, date '2026-01-01' + i FROM generate_series(6, 3000) i`)
	// 21,000 bids have the same price and time, so only the bytes of their members order them.
	s.exec(`INSERT INTO bids (raffle_id, user_id, size, price, created_at) SELECT 2, 1, 270, 5000, '2026-01-01' FROM generate_series(1, 21000)`)
	e := s.reached().Epoch
	s.clean()
	stop := s.drop(2, 500)
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); {
		s.exec("UPDATE raffles SET ends_at = ends_at + interval '1 minute' WHERE id % 900 = 1")
		s.exec("UPDATE products SET name = name || '.' WHERE id % 500 = 1")
		s.exec("DELETE FROM bids WHERE id IN (SELECT id FROM bids WHERE raffle_id = 2 AND size = 270 LIMIT 10)")
		s.clean()
	}
	for _, c := range []struct {
		key   string
		plant func() error
		text  string
	}{
		{e.Raffles(), func() error { return s.redis.ZRemRangeByRank(s.ctx, e.Raffles(), 3000, 3001).Err() }, "2 missing"},
		{e.Raffles(), func() error {
			member := s.redis.ZRange(s.ctx, e.Raffles(), 100, 100).Val()[0]
			return s.redis.ZAdd(s.ctx, e.Raffles(), redis.Z{Score: 4e15, Member: member}).Err()
		}, "1 wrong"},
		{e.Products(), func() error { return s.redis.HDel(s.ctx, e.Products(), "2000").Err() }, "1 missing"},
		{e.Products(), func() error { return s.redis.HSet(s.ctx, e.Products(), "99999", "x").Err() }, "it is a hash of"},
		{e.SizeNewest(270), func() error { return s.redis.ZRemRangeByRank(s.ctx, e.SizeNewest(270), -3000, -3000).Err() }, "1 missing"},
		{e.Highest(2, 270), func() error { return s.redis.ZRemRangeByRank(s.ctx, e.Highest(2, 270), 12_000, 12_000).Err() }, "1 missing"},
		{e.Newest(2, 270), func() error {
			b := readmodel.Bid{ID: 1 << 40, UserID: 1, CreatedAt: 1, Price: 7, Quantity: 1}
			return s.redis.ZAdd(s.ctx, e.Newest(2, 270), redis.Z{Score: 1, Member: b.AppendMember(nil)}).Err()
		}, "1 extra"},
		{e.Newest(2, 270), func() error { return s.redis.ZAdd(s.ctx, e.Newest(2, 270), redis.Z{Score: 1e18, Member: "junk"}).Err() }, ""},
	} {
		s.must(c.plant())
		r := s.verify(verify.Options{Repair: true})
		if r.Divergent != 1 || r.Repaired != 1 || r.Findings[0].Key != c.key || !strings.Contains(r.Findings[0].String(), c.text) {
			t.Errorf("%s, %s: %d differ, %d repaired, %v", c.key, c.text, r.Divergent, r.Repaired, r.Findings)
		}
	}
	stop()
	s.equal()
}
