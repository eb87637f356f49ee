package test

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// fromPrimary returns what Redis must hold in an epoch. It is read by SQL in the orders of the reads.
func (s *system) fromPrimary(e readmodel.Epoch) map[string][][]byte {
	s.t.Helper()
	want := make(map[string][][]byte)
	s.expectBids(want, e)
	s.expectSizes(want, e)
	s.expectRaffles(want, e)
	s.expectMemberships(want, e)
	s.expectProducts(want, e)
	s.expectSentinels(want, e)
	return want
}

func (s *system) expectBids(want map[string][][]byte, e readmodel.Epoch) {
	s.t.Helper()
	// The newest set is oldest first in Redis. Read with REV it has the order of SQL.
	for order, key := range map[string]func(readmodel.Epoch, int64, int16) string{
		"created_at, id": readmodel.Epoch.Newest, "-price, created_at, id": readmodel.Epoch.Highest,
	} {
		rows, err := s.db.Query(s.ctx, "SELECT raffle_id, id, user_id, created_at, price, quantity, size FROM bids ORDER BY raffle_id, size, "+order)
		s.must(err)
		var b readmodel.Bid
		var at time.Time
		_, err = pgx.ForEachRow(rows, []any{&b.RaffleID, &b.ID, &b.UserID, &at, &b.Price, &b.Quantity, &b.Size}, func() error {
			b.CreatedAt = at.UnixMicro()
			k := key(e, b.RaffleID, b.Size)
			want[k] = append(want[k], b.AppendMember(nil))
			return nil
		})
		s.must(err)
	}
}

// expectSentinels adds the sentinels of the lists and of the sets of raffles that exist, at the end where reading
// begins.
func (s *system) expectSentinels(want map[string][][]byte, e readmodel.Epoch) {
	s.t.Helper()
	whole := []byte(readmodel.Sentinel)
	for key := range want {
		var raffle, epoch int64
		var size int16
		switch {
		case scanned(key, "{r%d}:%d:n:%d", &raffle, &epoch, &size), scanned(key, "{r%d}:%d:h:%d", &raffle, &epoch, &size):
			if want[e.Raffle(raffle)] == nil {
				continue
			}
			if key == e.Newest(raffle, size) {
				want[key] = append(want[key], whole)
			} else {
				want[key] = append([][]byte{whole}, want[key]...)
			}
		case scanned(key, "{s%d}:%d:newest", &size, &epoch):
			want[key] = append(want[key], whole)
		}
	}
	want[e.Raffles()] = append(want[e.Raffles()], whole)
	want[e.Products()] = append(want[e.Products()], nil)
}

func scanned(text, format string, into ...any) bool {
	n, err := fmt.Sscanf(text, format, into...)
	return err == nil && n == len(into)
}

// expectSizes adds, for each size over all raffles, the bids that are newer than the floor.
func (s *system) expectSizes(want map[string][][]byte, e readmodel.Epoch) {
	s.t.Helper()
	rows, err := s.db.Query(s.ctx, "SELECT raffle_id, id, user_id, created_at, price, quantity, size FROM bids ORDER BY size, created_at, id")
	s.must(err)
	var b readmodel.Bid
	var at time.Time
	floors := make(map[int16]int64)
	_, err = pgx.ForEachRow(rows, []any{&b.RaffleID, &b.ID, &b.UserID, &at, &b.Price, &b.Quantity, &b.Size}, func() error {
		if _, known := floors[b.Size]; !known {
			floors[b.Size] = s.floor(e, b.Size)
		}
		b.CreatedAt = at.UnixMicro()
		if k := e.SizeNewest(b.Size); b.CreatedAt > floors[b.Size] {
			want[k] = append(want[k], b.AppendSizeMember(nil))
		}
		return nil
	})
	s.must(err)
	// The set of a size without bids stays, with the sentinel alone.
	known, err := s.redis.SMembers(s.ctx, e.AllSizes()).Result()
	s.must(err)
	for _, text := range known {
		if size, err := strconv.ParseInt(text, 10, 16); err == nil && size != 0 && len(want[e.SizeNewest(int16(size))]) == 0 {
			want[e.SizeNewest(int16(size))] = nil
		}
	}
}

// floor returns the floor of a size over all raffles, at and below which the set may have gaps; -1 if there is none.
func (s *system) floor(e readmodel.Epoch, size int16) int64 {
	floor, err := s.redis.Get(s.ctx, e.SizeFloor(size)).Int64()
	if errors.Is(err, redis.Nil) {
		return -1
	}
	s.must(err)
	return floor
}

func (s *system) expectRaffles(want map[string][][]byte, e readmodel.Epoch) {
	s.t.Helper()
	rows, err := s.db.Query(s.ctx, `SELECT id, product_id, seller_id, starts_at, ends_at, coalesce(closed_at, 'epoch'), coalesce(closing_price, 0)
		FROM raffles ORDER BY ends_at, id`)
	s.must(err)
	var r readmodel.Raffle
	var starts, ends, closed time.Time
	_, err = pgx.ForEachRow(rows, []any{&r.ID, &r.ProductID, &r.SellerID, &starts, &ends, &closed, &r.ClosingPrice}, func() error {
		r.StartsAt, r.EndsAt, r.ClosedAt = starts.UnixMicro(), ends.UnixMicro(), closed.UnixMicro()
		want[e.Raffles()] = append(want[e.Raffles()], r.AppendMember(nil))
		want[e.Raffle(r.ID)] = [][]byte{r.AppendMember(nil)}
		return nil
	})
	s.must(err)
}

// expectMemberships adds, for each raffle, the raffle itself and the sizes with bids, in the order of SORT.
func (s *system) expectMemberships(want map[string][][]byte, e readmodel.Epoch) {
	s.t.Helper()
	rows, err := s.db.Query(s.ctx, "SELECT id, 0 AS size FROM raffles UNION SELECT raffle_id, size FROM bids ORDER BY id, size")
	s.must(err)
	var raffle, size int64
	_, err = pgx.ForEachRow(rows, []any{&raffle, &size}, func() error {
		want[e.Sizes(raffle)] = append(want[e.Sizes(raffle)], strconv.AppendInt(nil, size, 10))
		return nil
	})
	s.must(err)
}

func (s *system) expectProducts(want map[string][][]byte, e readmodel.Epoch) {
	s.t.Helper()
	rows, err := s.db.Query(s.ctx, `SELECT id, name, model, color, category, image_url, release_date::text, release_price FROM products ORDER BY id::text COLLATE "C"`)
	s.must(err)
	var p readmodel.Product
	_, err = pgx.ForEachRow(rows, []any{&p.ID, &p.Name, &p.Model, &p.Color, &p.Category, &p.ImageURL, &p.ReleaseDate, &p.ReleasePrice}, func() error {
		want[e.Products()] = append(want[e.Products()], p.AppendEntry(nil))
		return nil
	})
	s.must(err)
}

// hashMembers returns the values of a hash ordered by field.
func hashMembers(m map[string]string, err error) (values []string, _ error) {
	fields := make([]string, 0, len(m))
	for f := range m {
		fields = append(fields, f)
	}
	sort.Strings(fields) // the sentinel comes last
	for _, f := range fields {
		values = append(values, m[f])
	}
	return values, err
}
