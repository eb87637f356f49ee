package bid_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
)

// statement is a Writer that keeps nothing.
type statement struct{ bids int }

func (s *statement) Place(_ context.Context, bids []bid.Bid) ([]bid.Result, error) {
	s.bids += len(bids)
	results := make([]bid.Result, len(bids))
	for i := range results {
		results[i].Placed.ID = int64(s.bids)
	}
	return results, nil
}

// Away says that the primary always took writes.
func (s *statement) Away(time.Time) bool { return false }

// A lone bid goes at once. Bids that come while a statement is under way share the next one.
func ExampleBatcher() {
	to := &statement{}
	b := bid.NewBatcher(to, bid.DefaultLimits, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer b.Close()
	result, err := b.Place(context.Background(), bid.Bid{RaffleID: 901, UserID: 3, Size: 270, Price: 150_000, Quantity: 1})
	fmt.Println(result.Placed.ID, to.bids, err)
	// Output:
	// 1 1 <nil>
}

// All rules that a bid breaks are reported at once.
func ExampleBid_Check() {
	fmt.Println(bid.Bid{Size: 0, Price: -1, Quantity: 1}.Check())
	// Output:
	// invalid bid: size must be a whole number from 1 to 32767, price must be a whole number from 1 to 2147483647
}
