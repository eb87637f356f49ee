package bid_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// BenchmarkPlace is the time of one statement by the number of bids in it, each with a key.
func BenchmarkPlace(b *testing.B) {
	server := testenv.StartPostgres(b, testenv.Set("shared_buffers", "256MB"))
	fixture.Fill(b, server)
	s := newStore(b, server)
	for _, n := range []int{1, 8, 32, 128, 512} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			bids := make([]bid.Bid, n)
			placed := 0
			for b.Loop() {
				for i := range bids {
					bids[i] = newBid(fixture.Open, int64(1+i%fixture.Users), fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()))
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
		})
	}
}
