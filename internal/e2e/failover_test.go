package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const failoverClients = 16

// failoverLoad bids without a pause from several clients and keeps the answers.
type failoverLoad struct {
	s        *stack
	end      context.Context
	refused  atomic.Int64 // 503s
	accepted atomic.Int64
	mu       sync.Mutex
	location map[string]string    // of each key that was accepted
	at       map[string]time.Time // when its 201 was seen
}

// client posts one key after the other, each until it is accepted. A transport error ends the client as failed,
// because the service runs throughout and has to answer.
func (l *failoverLoad) client(n int, authorization string) error {
	for i := 0; l.end.Err() == nil; i++ {
		key := fmt.Sprintf("failover-%d-%d", n, i)
		bid := map[string]int{"size": 250 + 5*(i%11), "price": 1000 + i}
		for accepted := false; !accepted && l.end.Err() == nil; {
			a, err := l.s.do("POST", l.s.bidsURL(openRaffle+int64(i%7)), bid, "Authorization", authorization, "Idempotency-Key", key)
			switch {
			case err != nil:
				return err
			case a.status == http.StatusCreated:
				accepted = true
				l.accepted.Add(1)
				l.mu.Lock()
				l.location[key], l.at[key] = a.header.Get("Location"), time.Now()
				l.mu.Unlock()
			case a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "":
				return fmt.Errorf("%d %s, Retry-After %q", a.status, a.body, a.header.Get("Retry-After"))
			default:
				l.refused.Add(1)
				l.rest()
			}
		}
	}
	return nil
}

func (l *failoverLoad) rest() {
	timer := time.NewTimer(retryAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.end.Done():
	}
}

// since returns how long after a moment the first 201 was seen.
func (l *failoverLoad) since(moment time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := time.Duration(-1)
	for _, at := range l.at {
		if d := at.Sub(moment); d > 0 && (first < 0 || d < first) {
			first = d
		}
	}
	return first
}

// startPair is the write side over a primary and a standby that every commit waits for.
func startPair(t testing.TB) *stack {
	t.Helper()
	s := &stack{primary: testenv.StartPostgres(t)}
	s.seed(t)
	s.standby = s.primary.StartStandby(t)
	// This comes after the standby was copied, because the standby must not wait for a standby of its own once
	// it is promoted.
	s.primary.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = "+testenv.StandbyName)
	s.primary.Exec(t, "SELECT pg_reload_conf()")
	s.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(s.client.CloseIdleConnections)
	both := strings.Replace(s.primary.URL("command"), s.primary.Addr(), s.primary.Addr()+","+s.standby.Addr(), 1)
	s.command, s.commandURL, _ = startService(t, "command", "PRIMARY_URL="+both, "LOGIN_CORES=2", "JWT_KEYS_DIR="+t.TempDir(), "LOG_LEVEL=error")
	testenv.Eventually(t, 10*time.Second, "commits wait for the standby", func() bool {
		var state string
		err := s.queryRow(s.primary, "SELECT sync_state FROM pg_stat_replication", &state)
		return err == nil && state == "sync"
	})
	return s
}

func (s *stack) queryRow(p *testenv.Postgres, sql string, into ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err
	}
	return errors.Join(conn.QueryRow(ctx, sql).Scan(into...), conn.Close(ctx))
}

// W1: the primary dies under load and its standby takes over. Meanwhile requests are answered 503 with
// Retry-After. The bid of every 201 is on the new primary once, and bids are soon accepted again.
func TestNoAcceptedBidIsLostInAFailover_W1(t *testing.T) {
	failover(t, func(p *testenv.Postgres) { p.Kill(t) }, 20*failoverClients, 3*time.Second)
}

// W1, for a primary that neither answers nor closes its connections, like a machine that is cut off. The
// attempts to connect to it have to end before the other host is tried.
func TestNoAcceptedBidIsLostWhenThePrimaryFreezes_W1(t *testing.T) {
	s := failover(t, func(p *testenv.Postgres) { p.Pause(t) }, failoverClients, 5*time.Second)
	began := time.Now()
	if status := s.command.Stop(t); status != 0 || time.Since(began) > 10*time.Second {
		t.Errorf("the service ended with %d, %v after it was told to", status, time.Since(began))
	}
}

// failover ends the primary under load and promotes the standby once so many requests were refused. It fails
// the test unless bids are accepted within the given time after that.
func failover(t *testing.T, end func(*testenv.Postgres), refusals int64, within time.Duration) *stack {
	t.Helper()
	s := startPair(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	load := &failoverLoad{s: s, end: ctx, location: make(map[string]string), at: make(map[string]time.Time)}
	errs := make(chan error, failoverClients)
	for n := range failoverClients {
		authorization := s.login(t, fmt.Sprintf("user%d", n+1))
		go func() { errs <- load.client(n, authorization) }()
	}
	reach := func(n *atomic.Int64, least int64, what string) {
		testenv.EventuallyNoError(t, 30*time.Second, what, func() error {
			select {
			case err := <-errs:
				return fmt.Errorf("a client has ended: %w", err)
			default:
			}
			if got := n.Load(); got < least {
				return fmt.Errorf("%d, want %d", got, least)
			}
			return nil
		})
	}
	reach(&load.accepted, 1000, "bids are accepted")
	ended := time.Now()
	end(s.primary)
	before := load.accepted.Load()
	reach(&load.refused, refusals, "bids are refused without a primary")
	promoting := time.Now()
	s.standby.Promote(t)
	promoted := time.Now()
	reach(&load.accepted, load.accepted.Load()+1000, "bids are accepted by the new primary")
	cancel()
	for range failoverClients {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	back := load.since(promoting) - promoted.Sub(promoting)
	t.Logf("first 201 %v after the end of the promotion (which took %v), %v after the end of the primary; %d accepted before, %d after, %d refused meanwhile",
		back, promoted.Sub(promoting), promoted.Add(back).Sub(ended), before, load.accepted.Load()-before, load.refused.Load())
	if back > within {
		t.Errorf("no bid was accepted for %v after the promotion", back)
	}
	load.holdAgainst(t, s.standby)
	return s
}

// holdAgainst fails the test unless every accepted bid is on the server exactly once and no key is there twice.
func (l *failoverLoad) holdAgainst(t *testing.T, p *testenv.Postgres) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, p.URL("command"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	const sql = `SELECT idempotency_key, format('/v1/raffles/%s/bids/%s', raffle_id, id) FROM bids WHERE idempotency_key LIKE 'failover-%'`
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ Key, Location string }
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		t.Fatal(err)
	}
	stored := make(map[string]string, len(all))
	for _, r := range all {
		if stored[r.Key] != "" {
			t.Errorf("key %s has two bids: %s and %s", r.Key, stored[r.Key], r.Location)
		}
		stored[r.Key] = r.Location
	}
	lost := 0
	for key, location := range l.location {
		if stored[key] != location {
			lost++
			t.Errorf("key %s was accepted as %s, the new primary has %q", key, location, stored[key])
		}
	}
	t.Logf("%d bids accepted, %d on the new primary, %d lost", len(l.location), len(all), lost)
}
