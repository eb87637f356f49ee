package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/ops"
)

// patience bounds waits that are long only on a busy machine.
const patience = 30 * time.Second

// database is a testenv.Database or a testenv.Postgres.
type database interface{ URL(role string) string }

// system is a primary, a Redis and a replicator between the two.
type system struct {
	t      testing.TB
	ctx    context.Context
	db     *pgx.Conn // as the superuser
	dbs    database
	server *testenv.Redis
	redis  *redis.Client
	*testenv.Program
	status string // URL
	ready  string
}

func newSystem(t testing.TB, dbs database) *system {
	t.Helper()
	s := &system{t: t, ctx: context.Background(), dbs: dbs, server: testenv.StartRedis(t)}
	s.redis = redis.NewClient(&redis.Options{Addr: s.server.Addr()})
	t.Cleanup(func() { s.redis.Close() })
	s.connect()
	s.exec(`INSERT INTO users (login, password_hash) SELECT 'user'||i, 'x' FROM generate_series(1, 50) i`)
	s.exec(`INSERT INTO products (name, model, color, category, image_url, release_price, release_date)
		SELECT 'shoe '||i, 'm'||i, 'red', 'sneaker', '/'||i, 1000*i, date '2026-01-01' + i FROM generate_series(1, 5) i`)
	s.exec(`INSERT INTO raffles (product_id, seller_id, starts_at, ends_at)
		SELECT i % 5 + 1, 1, '2026-01-01', timestamptz '2036-01-01' + i * interval '1 hour' FROM generate_series(1, 10) i`)
	return s
}

func (s *system) connect() {
	s.t.Helper()
	conn, err := pgx.Connect(s.ctx, s.dbs.URL("postgres"))
	s.must(err)
	s.db = conn
	s.t.Cleanup(func() { conn.Close(s.ctx) })
}

// replicate starts a replicator and returns it. The first one becomes the system's own. more are further variables of
// its environment, as NAME=value.
func (s *system) replicate(more ...string) *testenv.Program {
	s.t.Helper()
	public, admin := testenv.FreePort(s.t), testenv.FreePort(s.t)
	p := testenv.StartProcess(s.t, testenv.Process{Path: testenv.Binary(s.t, "./replicator"), Env: append([]string{
		fmt.Sprintf("LISTEN_ADDR=127.0.0.1:%d", public), fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", admin),
		"PRIMARY_URL=" + s.dbs.URL("replicator"), "REDIS_URL=" + s.server.URL(),
	}, more...), Ready: fmt.Sprintf("http://127.0.0.1:%d/livez", admin)})
	if s.Program == nil {
		s.Program = p
		s.status = fmt.Sprintf("http://127.0.0.1:%d/v1/status", public)
		s.ready = fmt.Sprintf("http://127.0.0.1:%d/readyz", admin)
	}
	return p
}

func (s *system) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.db.Exec(s.ctx, sql, args...); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// bids inserts n bids in one transaction.
func (s *system) bids(n int) {
	s.t.Helper()
	s.exec(insertBids, n)
}

const insertBids = `INSERT INTO bids (raffle_id, user_id, size, price, quantity, created_at)
	SELECT i % 10 + 1, i % 50 + 1, 250 + 5 * (random() * 10)::int, 1 + (random() * 300)::int * 1000, 1, clock_timestamp()
	FROM generate_series(1, $1::int) i`

func (s *system) lsn() lsn.LSN {
	s.t.Helper()
	var text string
	s.must(s.db.QueryRow(s.ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&text))
	lsn, err := lsn.Parse(text)
	s.must(err)
	return lsn
}

func (s *system) checkpoint() (readmodel.Checkpoint, error) {
	text, err := s.redis.Get(s.ctx, readmodel.CheckpointKey).Result()
	if err != nil {
		return readmodel.Checkpoint{}, err
	}
	return readmodel.ParseCheckpoint(text)
}

// reached waits until Redis holds everything that is committed now, and returns the checkpoint.
func (s *system) reached() readmodel.Checkpoint {
	s.t.Helper()
	token := s.lsn()
	var c readmodel.Checkpoint
	testenv.EventuallyNoError(s.t, patience, "checkpoint at "+token.String(), func() (err error) {
		if c, err = s.checkpoint(); err == nil && (c.LSN < token || c.Applying) {
			err = fmt.Errorf("it is %s", c)
		}
		return err
	})
	return c
}

func (s *system) report() (st ops.Status) {
	s.t.Helper()
	response, err := http.Get(s.status)
	s.must(err)
	defer response.Body.Close()
	s.must(json.NewDecoder(response.Body).Decode(&st))
	return st
}

func (s *system) streaming() bool {
	response, err := http.Get(s.ready)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func TestStopFinishesWithin10Seconds(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(100)
	s.equal()
	begun := time.Now()
	if code := s.Stop(t); code != 0 || time.Since(begun) > 10*time.Second {
		t.Fatalf("SIGTERM: exit status %d after %v", code, time.Since(begun))
	}
}
