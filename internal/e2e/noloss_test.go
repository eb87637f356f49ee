package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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
	load := func(client int) error {
		authorization := s.login(t, fmt.Sprintf("user%d", client+1))
		for i := range perClient {
			bid := map[string]int{"size": 250 + 5*(i%11), "price": 1000 * (1 + i%97)}
			a, err := s.do("POST", s.bidsURL(openRaffle+int64(i%raffles)), bid, "Authorization", authorization,
				"Idempotency-Key", fmt.Sprintf("%d-%d", client, i))
			if err != nil || a.status != http.StatusCreated {
				return fmt.Errorf("client %d, bid %d: %d %s %w", client, i, a.status, a.body, err)
			}
			var doc bidDocument
			if err := json.Unmarshal(a.body, &doc); err != nil {
				return err
			}
			lsn, err := positionLSN(a.header.Get("Commit-LSN"))
			if err != nil {
				return err
			}
			mu.Lock()
			acknowledged[doc.ID] = true
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
	testenv.EventuallyNoError(t, 15*time.Second, "the read model catches up", func() error {
		a, err := s.do("GET", s.lookupURL(openRaffle, "size=270&limit=1"), nil, "Read-Path", "redis", "Min-LSN", last.String())
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		return err
	})
	for _, order := range []string{"newest", "highest"} {
		var all []int64
		for raffle := range raffles {
			for size := 250; size <= 300; size += 5 {
				parameters := fmt.Sprintf("size=%d&order=%s", size, order)
				fromRedis := s.readAll(t, openRaffle+raffle, parameters, "redis", last.String())
				if fromPrimary := s.readAll(t, openRaffle+raffle, parameters, "primary", last.String()); !slices.Equal(fromRedis, fromPrimary) {
					t.Errorf("raffle %d %s: Redis holds %d bids, Postgres %d, or in another order", openRaffle+raffle, parameters, len(fromRedis), len(fromPrimary))
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
