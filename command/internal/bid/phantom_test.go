package bid_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// changes are the inserts and deletes of bids that a slot shows, in the order of the commits.
func changes(t testing.TB, db *testenv.Database) (inserts, deletes int) {
	t.Helper()
	conn := super(t, db)
	rows, err := conn.Query(t.Context(), "SELECT data FROM pg_logical_slot_get_changes('phantoms', NULL, NULL)")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "table public.bids: INSERT"):
			inserts++
		case strings.HasPrefix(line, "table public.bids: DELETE"):
			deletes++
		}
	}
	return inserts, deletes
}

func super(t testing.TB, server fixture.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func execute(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

// A retry under a cancelled key inserts nothing, so the stream shows no bid that no client was told of.
func TestACancelledKeyLeavesNoPhantom(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	s := newStore(t, db)
	db.Exec(t, "SELECT pg_create_logical_replication_slot('phantoms', 'test_decoding')")
	b := newBid(fixture.Open, 1, "k")
	first := place(t, s, b)
	if _, err := s.Cancel(t.Context(), b.RaffleID, first.Placed.ID, b.UserID); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if again := place(t, s, b); !again.Replayed || again.Placed != first.Placed {
			t.Errorf("%+v, first %+v", again, first)
		}
	}
	if in, out := changes(t, db); in != 1 || out != 1 {
		t.Errorf("%d bids and %d cancellations in the stream", in, out)
	}
}

// The same if the bid is placed and cancelled while the retry waits for another key, so that the retry's snapshot is
// older than both. On a busy machine the wait may be over before that (keyWait); then another round begins.
func TestAKeyCancelledMeanwhileLeavesNoPhantom(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	s, reference := newStore(t, db), newStore(t, db)
	for _, one := range []*bid.Store{s, reference} { // then they know the size, so neither waits for the other to count
		place(t, one, newBid(fixture.Open, 1, ""))
	}
	db.Exec(t, "SELECT pg_create_logical_replication_slot('phantoms', 'test_decoding')")
	blocker := super(t, db)
	for round := range 50 {
		execute(t, blocker, fmt.Sprintf(`BEGIN; INSERT INTO bids (raffle_id, user_id, size, price, created_at, idempotency_key, request_hash)
			VALUES (1, 1, 270, 1, now(), 'a%d', '\x00')`, round))
		waits, cancelled := newBid(fixture.Open, 1, fmt.Sprintf("a%d", round)), newBid(fixture.Open, 1, fmt.Sprintf("b%d", round))
		var results []bid.Result
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { results, err = s.Place(t.Context(), []bid.Bid{waits, cancelled}) })
		first := place(t, reference, cancelled)
		if !first.Replayed && first.Err == nil {
			_, errCancel := reference.Cancel(t.Context(), fixture.Open, first.Placed.ID, 1)
			execute(t, blocker, "ROLLBACK")
			wg.Wait()
			if in, out := changes(t, db); errCancel == nil && err == nil && (in != 2 || out != 1) {
				t.Errorf("%d bids and %d cancellations in the stream", in, out)
			}
			if err == nil && (results[0].Err != nil || results[0].Replayed || results[1].Err != nil || results[1].Placed != first.Placed) {
				t.Errorf("%+v; first %+v", results, first)
			}
			if err == nil {
				return
			}
			continue
		}
		execute(t, blocker, "ROLLBACK")
		wg.Wait()
		changes(t, db)
	}
	t.Error("the retry never waited")
}

// W5: bids of equal price rank in the order of their arrival, whichever user made them.
func TestEqualBidsRankByArrival_W5(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	db.Exec(t, "INSERT INTO users (id, login, password_hash) SELECT n, 'many' || n, 'x' FROM generate_series(2001, 2512) n")
	s := newStore(t, db)
	bids := make([]bid.Bid, 512)
	for i := range bids {
		bids[i] = newBid(fixture.Open, int64(2512-i), fmt.Sprintf("key-%d", i%7))
	}
	results, err := s.Place(t.Context(), bids)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Err != nil || i > 0 && (r.Placed.ID <= results[i-1].Placed.ID || r.Placed.CreatedAt.Before(results[i-1].Placed.CreatedAt)) {
			t.Fatalf("bid %d: %+v", i, r)
		}
	}
	rows, err := super(t, db).Query(t.Context(), "SELECT user_id FROM bids WHERE raffle_id = 1 AND size = 270 ORDER BY (-price), created_at, id")
	if err != nil {
		t.Fatal(err)
	}
	ranked, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	slices.Reverse(ranked)
	if err != nil || len(ranked) != len(bids) || !slices.IsSorted(ranked) {
		t.Errorf("ranked %v, %v", ranked, err)
	}
}
