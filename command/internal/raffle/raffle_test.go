package raffle_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/command/internal/raffle"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// addBids adds n bids in eleven sizes whose highest price is 1000 + n.
func addBids(t testing.TB, server fixture.Server, raffleID int64, n int) {
	t.Helper()
	server.Exec(t, `INSERT INTO bids (raffle_id, user_id, size, price, created_at)
		SELECT $1, 1 + i % 9, 250 + 5 * (i % 11), 1000 + i, now() FROM generate_series(1, $2::int) i`, raffleID, n)
}

func TestAdd(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	s := newStore(t, db, prometheus.NewRegistry())
	soon, past := time.Now().Add(time.Hour).Truncate(time.Microsecond), time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	for _, c := range []struct {
		name string
		n    raffle.New
		want error
	}{
		{"starts now", raffle.New{ProductID: 1, SellerID: 2, EndsAt: soon}, nil},
		{"started", raffle.New{ProductID: 1, SellerID: 2, StartsAt: &past, EndsAt: soon}, nil},
		{"product", raffle.New{ProductID: 9, SellerID: 2, EndsAt: soon}, raffle.ErrUnknownProduct},
		{"seller", raffle.New{ProductID: 1, SellerID: 99, EndsAt: soon}, raffle.ErrUnknownSeller},
		{"over", raffle.New{ProductID: 1, SellerID: 2, StartsAt: &past, EndsAt: past.Add(time.Second)}, raffle.ErrOver},
	} {
		opened, err := s.Add(t.Context(), c.n)
		r, lsn := opened.Raffle, opened.LSN
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err == nil && (r.ID == 0 || r.SellerID != 2 || !r.EndsAt.Equal(soon) || r.ClosedAt != nil || lsn == "" ||
			(c.n.StartsAt == nil && time.Since(r.StartsAt) > time.Minute) || (c.n.StartsAt != nil && !r.StartsAt.Equal(past))) {
			t.Errorf("%s: %+v at %q", c.name, r, lsn)
		}
	}
}

func TestCloseIsFinal(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	s := newStore(t, db, prometheus.NewRegistry())
	for id, want := range map[int64]error{fixture.Unknown: raffle.ErrUnknown, fixture.NotStarted: raffle.ErrNotStarted} {
		if _, _, err := s.Close(t.Context(), id, raffle.ByAdmin); !errors.Is(err, want) {
			t.Errorf("raffle %d: %v, want %v", id, err, want)
		}
	}
	if r, _, err := s.Close(t.Context(), fixture.Over, raffle.ByTime); err != nil || r.ClosedAt == nil || r.ClosingPrice != nil {
		t.Errorf("no bids: %+v, %v", r, err)
	}
	addBids(t, db, fixture.Open, 100)
	first, lsn, err := s.Close(t.Context(), fixture.Open, raffle.ByAdmin)
	if err != nil || first.ClosedAt == nil || *first.ClosingPrice != 1100 || lsn == "" {
		t.Fatalf("%+v at %q, %v", first, lsn, err)
	}
	again, _, err := s.Close(t.Context(), fixture.Open, raffle.ByTime)
	if err != nil || !again.ClosedAt.Equal(*first.ClosedAt) || *again.ClosingPrice != 1100 {
		t.Errorf("again: %+v, %v, first %+v", again, err, first)
	}
}

func newStore(t testing.TB, db fixture.Server, reg prometheus.Registerer) *raffle.Store {
	t.Helper()
	server := fixture.Primary(t, db)
	s := raffle.NewStore(server, reg)
	fixture.Warm(t, server)
	return s
}

// The highest price is found through the index. One bid per size is read, however many there are.
func TestCloseReadsOneBidPerSize(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	addBids(t, db, fixture.Open, 400_000)
	db.Exec(t, "ANALYZE bids")
	conn, err := pgx.Connect(t.Context(), db.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var body string
	if err := conn.QueryRow(t.Context(), "SELECT prosrc FROM pg_proc WHERE proname = 'highest_price'").Scan(&body); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, COSTS off) "+strings.ReplaceAll(body, "= raffle ", "= 1 "), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(lines, "\n")
	if strings.Count(plan, "using bids_highest") != 2 || strings.Contains(plan, "Sort") || strings.Contains(plan, "Seq Scan on bids") {
		t.Errorf("the plan is\n%s", plan)
	}
	if n := fixture.Count(t, db, "SELECT highest_price(1)"); n != 401_000 {
		t.Errorf("highest price %d", n)
	}
}

// W6: a close gets through although bids follow each other without a gap, and it does not delay the bids of other
// raffles.
func TestCloseGetsItsTurn_W6(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	s := newStore(t, db, prometheus.NewRegistry())
	crowd, err := pgxpool.New(t.Context(), db.URL("command")+"&pool_max_conns=16")
	if err != nil {
		t.Fatal(err)
	}
	defer crowd.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var shared atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, err := crowd.Exec(t.Context(), "BEGIN; SELECT pg_try_advisory_xact_lock_shared(raffle_lock(1)); SELECT pg_sleep(0.03); COMMIT",
					pgx.QueryExecModeSimpleProtocol)
				if err != nil {
					t.Error(err)
					return
				}
				shared.Add(1)
			}
		})
	}
	defer wg.Wait()
	defer cancel()
	testenv.Eventually(t, 30*time.Second, "the raffle is hot", func() bool { return shared.Load() > 32 })
	began := time.Now()
	if _, _, err := s.Close(t.Context(), fixture.Open, raffle.ByAdmin); err != nil { // it waits for a lock 250 ms at most
		t.Error(err)
	}
	t.Logf("closed after %v", time.Since(began))
}

// value returns the value of a counter or gauge without labels.
func value(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

func newCloser(t testing.TB, db fixture.Server) (*raffle.Closer, *prometheus.Registry) {
	reg := prometheus.NewRegistry()
	return raffle.NewCloser(fixture.Primary(t, db), newStore(t, db, reg), slog.New(slog.DiscardHandler), reg), reg
}

func active(t testing.TB, reg *prometheus.Registry) bool {
	return value(t, reg, "command_closer_active") == 1
}

// Raffles close within a second of their end, even if the closer loses its session or stops.
func TestTwoClosers(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	var regs [2]*prometheus.Registry
	var stop [2]context.CancelFunc
	var wg sync.WaitGroup
	for i := range regs {
		closer, reg := newCloser(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		regs[i], stop[i] = reg, cancel
		wg.Go(func() {
			if err := closer.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	defer wg.Wait()
	defer stop[0]()
	defer stop[1]()
	leader := func() int {
		t.Helper()
		testenv.Eventually(t, 10*time.Second, "one leads", func() bool { return active(t, regs[0]) != active(t, regs[1]) })
		if active(t, regs[0]) {
			return 0
		}
		return 1
	}
	leader()
	testenv.Eventually(t, 5*time.Second, "what was over is closed", func() bool {
		return fixture.Count(t, db, "SELECT count(*) FROM raffles WHERE id = $1 AND closed_at IS NOT NULL", fixture.Over) == 1
	})
	db.Exec(t, `INSERT INTO raffles (id, product_id, seller_id, starts_at, ends_at)
		SELECT 2000 + n, 1, 1, now() - interval '1 s', now() + 5 * n * interval '1 ms' FROM generate_series(1, 1000) n`)
	// The session is lost first, and then the instance.
	db.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	testenv.Eventually(t, 10*time.Second, "some are closed", func() bool {
		return fixture.Count(t, db, "SELECT count(*) FROM raffles WHERE id > 2000 AND closed_at IS NOT NULL") > 400
	})
	first := leader()
	stop[first]()
	testenv.Eventually(t, 10*time.Second, "the other one leads", func() bool { return active(t, regs[1-first]) })
	testenv.Eventually(t, 15*time.Second, "all are closed", func() bool {
		return fixture.Count(t, db, "SELECT count(*) FROM raffles WHERE id > 2000 AND closed_at IS NULL") == 0
	})
	late := fixture.Count(t, db, "SELECT (extract(epoch FROM max(closed_at - ends_at)) * 1000)::bigint FROM raffles WHERE id > 2000")
	early := fixture.Count(t, db, "SELECT count(*) FROM raffles WHERE id > 2000 AND closed_at < ends_at")
	if late >= 1000 || early > 0 {
		t.Errorf("closed up to %d ms late, %d too early", late, early)
	}
	t.Logf("at most %d ms late", late)
}

// Raffles that can't be closed, because another session locks their rows, do not hide the raffles after them.
func TestDueRafflesDoNotStarve_W6(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	db.Exec(t, `INSERT INTO raffles (id, product_id, seller_id, starts_at, ends_at)
		SELECT 2000 + n, 1, 1, now() - interval '2 h', now() - interval '1 hour' + n * interval '1 s' FROM generate_series(1, 250) n`)
	conn, err := pgx.Connect(t.Context(), db.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	// A page of the closer's list, and one more.
	if _, err := conn.Exec(t.Context(), "BEGIN; SELECT 1 FROM raffles WHERE id BETWEEN 2001 AND 2100 FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	closer, _ := newCloser(t, db)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		if err := closer.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	testenv.Eventually(t, time.Minute, "those behind are closed", func() bool {
		return fixture.Count(t, db, "SELECT count(*) FROM raffles WHERE id > 2100 AND closed_at IS NULL") == 0
	})
	if n := fixture.Count(t, db, "SELECT count(*) FROM raffles WHERE id BETWEEN 2001 AND 2100 AND closed_at IS NOT NULL"); n != 0 {
		t.Errorf("%d locked raffles are closed", n)
	}
}
