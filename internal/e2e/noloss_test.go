package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// P1, P2: 10,000 bids while the replicator dies five times. The bid of every 201 is in Postgres once and in
// Redis once, in both orders.
func TestReplicatorKilledUnderLoadLosesNothing_P1_P2(t *testing.T) {
	const clients, perClient, raffles, kills = 8, 1250, 5, 5
	s := startStack(t)
	before := s.stored(t, raffles)
	var mu sync.Mutex
	acknowledged := make(map[int64]bool)
	var last lsn.LSN
	load := func(bidder int) error {
		session := s.strict(t, fmt.Sprintf("user%d", bidder+1))
		for i := range perClient {
			bid := client.NewBid{Size: 250 + 5*(i%11), Price: int64(1000 * (1 + i%97)), Key: fmt.Sprintf("%d-%d", bidder, i)}
			made, receipt, err := session.PlaceBid(t.Context(), openRaffle+int64(i%raffles), bid)
			if err != nil {
				return fmt.Errorf("bid %s: %w", bid.Key, err)
			}
			lsn, err := positionLSN(string(receipt.Position))
			if err != nil {
				return err
			}
			mu.Lock()
			acknowledged[made.ID] = true
			last = max(last, lsn)
			mu.Unlock()
		}
		return nil
	}
	errs := make(chan error, clients)
	for c := range clients {
		go func() { errs <- load(c) }()
	}
	for k := range kills {
		testenv.Eventually(t, time.Minute, "the load goes on", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(acknowledged) > (k+1)*clients*perClient/(kills+1)
		})
		s.replicator.Kill(t)
		s.replicator.Start(t)
	}
	for range clients {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) != clients*perClient {
		t.Fatalf("%d ids for %d accepted bids", len(acknowledged), clients*perClient)
	}
	s.compare(t, raffles, before, acknowledged, last)
}

// stored returns the ids of each raffle's bids in Postgres.
func (s *stack) stored(t *testing.T, raffles int64) map[int64]bool {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.primary.URL("query"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT id FROM bids WHERE raffle_id BETWEEN $1 AND $2", openRaffle, openRaffle+raffles-1)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}
	set := make(map[int64]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	if len(set) != len(ids) {
		t.Fatalf("Postgres holds %d rows with %d ids", len(ids), len(set))
	}
	return set
}

// compare compares the bids that were there before, and the acknowledged bids, with Postgres and Redis.
func (s *stack) compare(t *testing.T, raffles int64, before, acknowledged map[int64]bool, last lsn.LSN) {
	t.Helper()
	stored := s.stored(t, raffles)
	for id := range acknowledged {
		if !stored[id] {
			t.Fatalf("bid %d was acknowledged and is not in Postgres", id)
		}
	}
	if len(stored) != len(before)+len(acknowledged) {
		t.Fatalf("Postgres holds %d bids, want %d", len(stored), len(before)+len(acknowledged))
	}
	at := client.Position(last.String())
	testenv.EventuallyNoError(t, 15*time.Second, "the read model catches up", func() error {
		_, err := s.api(t, client.WithAttempts(1)).Bids(t.Context(), openRaffle, client.BidFilter{Size: 270}, client.Through("redis"), client.AtLeast(at))
		return err
	})
	for _, order := range []string{"newest", "highest"} {
		var all []int64
		for raffle := range raffles {
			for size := 250; size <= 300; size += 5 {
				of := client.BidFilter{Size: size, Order: order}
				fromRedis := s.readAll(t, openRaffle+raffle, of, "redis", at)
				if fromPrimary := s.readAll(t, openRaffle+raffle, of, "primary", at); !slices.Equal(fromRedis, fromPrimary) {
					t.Errorf("raffle %d %+v: Redis holds %d bids, Postgres %d, or in another order", openRaffle+raffle, of, len(fromRedis), len(fromPrimary))
				}
				all = append(all, fromRedis...)
			}
		}
		slices.Sort(all)
		if unique := slices.Compact(slices.Clone(all)); len(unique) != len(all) || len(all) != len(stored) {
			t.Errorf("order %s: Redis answers %d bids, %d of them different, Postgres holds %d", order, len(all), len(unique), len(stored))
		}
	}
}
