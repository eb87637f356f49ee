package bid_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// The benchmarks' data has enough raffles, users and bids to give the indexes some depth.
const benchRaffles, benchUsers, benchBids = 100, 20_000, 300_000

func benchServer(b *testing.B) *testenv.Postgres {
	b.Helper()
	server := testenv.StartPostgres(b, testenv.Set("shared_buffers", "512MB"), testenv.Set("max_wal_size", "4GB"))
	fixture.Fill(b, server)
	server.Exec(b, `INSERT INTO users (id, login, password_hash) SELECT n, 'bench' || n, 'x' FROM generate_series(1000, 1000 + $1::int - 1) n`, benchUsers)
	server.Exec(b, `INSERT INTO raffles (id, product_id, seller_id, starts_at, ends_at)
		SELECT n, 1, 1, now() - interval '1 hour', now() + interval '1 year' FROM generate_series(1000, 1000 + $1::int - 1) n`, benchRaffles)
	server.Exec(b, `INSERT INTO bids (raffle_id, user_id, size, price, created_at, idempotency_key, request_hash)
		SELECT 1000 + n % $1::int, 1000 + (random() * $2::int)::int, 250 + 5 * (n % 11), 1000 * (1 + n % 500), clock_timestamp(), gen_random_uuid()::text, '\x00'
		FROM generate_series(1, $3::int) n`, benchRaffles, benchUsers, benchBids)
	server.Exec(b, "VACUUM ANALYZE")
	return server
}

func placeMany(b *testing.B, s *bid.Store, n int) {
	bids := make([]bid.Bid, n)
	placed := 0
	for b.Loop() {
		for i := range bids {
			bids[i] = bid.Bid{RaffleID: 1000 + rand.Int64N(benchRaffles), UserID: 1000 + rand.Int64N(benchUsers), Size: int16(250 + 5*rand.IntN(11)),
				Price: int32(1000 * (1 + rand.IntN(500))), Quantity: 1, Key: fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())}
		}
		results, err := s.Place(b.Context(), bids)
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
		placed += n
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(placed), "us/bid")
}

// BenchmarkPlace measures one statement, by the number of its bids. Each bid has a key.
func BenchmarkPlace(b *testing.B) {
	s := newStore(b, benchServer(b))
	for _, n := range []int{1, 8, 32, 128, 512} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) { placeMany(b, s, n) })
	}
}

// BenchmarkIndexCost measures a bid in statements of 128: with the table as it is, without one of its indexes at a
// time, and with one foreign key at a time, which the table does not have.
func BenchmarkIndexCost(b *testing.B) {
	server := benchServer(b)
	for _, c := range []struct{ name, change, back string }{
		{"as-it-is", "SELECT 1", "SELECT 1"},
		{"without-bids_newest", "DROP INDEX bids_newest", "CREATE INDEX bids_newest ON bids (raffle_id, size, created_at DESC, id DESC)"},
		{"without-bids_highest", "DROP INDEX bids_highest", "CREATE INDEX bids_highest ON bids (raffle_id, size, (-price), created_at, id)"},
		{"without-bids_size", "DROP INDEX bids_size", "CREATE INDEX bids_size ON bids (size, created_at DESC, id DESC)"},
		{"without-bids_user", "DROP INDEX bids_user", "CREATE INDEX bids_user ON bids (user_id, created_at DESC, id DESC)"},
		{"with-foreign-key-to-users", "ALTER TABLE bids ADD CONSTRAINT u FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID", "ALTER TABLE bids DROP CONSTRAINT u"},
		{"with-foreign-key-to-raffles", "ALTER TABLE bids ADD CONSTRAINT r FOREIGN KEY (raffle_id) REFERENCES raffles (id) NOT VALID", "ALTER TABLE bids DROP CONSTRAINT r"},
		{"as-it-is-again", "SELECT 1", "SELECT 1"},
	} {
		server.Exec(b, c.change)
		b.Run(c.name, func(b *testing.B) { placeMany(b, newStore(b, server), 128) })
		server.Exec(b, c.back)
	}
}
