package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/project"
)

// patience is for what takes long only on a busy machine.
const patience = 30 * time.Second

// database is what both testenv.Database and testenv.Postgres are.
type database interface{ URL(role string) string }

// system is a primary, a Redis and a replicator between them.
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

// replicate starts a replicator and returns it; the first becomes the system's own.
func (s *system) replicate() *testenv.Program {
	s.t.Helper()
	public, admin := testenv.FreePort(s.t), testenv.FreePort(s.t)
	p := testenv.StartProcess(s.t, testenv.Process{Path: testenv.Binary(s.t, "./replicator"), Env: []string{
		fmt.Sprintf("LISTEN_ADDR=127.0.0.1:%d", public), fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", admin),
		"PRIMARY_URL=" + s.dbs.URL("replicator"), "REDIS_URL=" + s.server.URL(),
	}, Ready: fmt.Sprintf("http://127.0.0.1:%d/livez", admin)})
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

func (s *system) lsn() readmodel.LSN {
	s.t.Helper()
	var text string
	s.must(s.db.QueryRow(s.ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&text))
	lsn, err := readmodel.ParseLSN(text)
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

// reached waits until Redis holds everything that is committed now.
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

func (s *system) report() (st project.Status) {
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

// equal compares Redis, whole, with the primary: every set in both orders, and nothing else there.
func (s *system) equal() {
	s.t.Helper()
	c := s.reached()
	want := s.fromPrimary(c.Epoch)
	testenv.EventuallyNoError(s.t, patience, "only the served epoch's keys", func() error {
		for _, key := range s.contents() {
			if _, expected := want[key]; !expected {
				return fmt.Errorf("%s is there", key)
			}
		}
		return nil
	})
	for key, members := range want {
		got, err := s.members(key)
		s.must(err)
		if floor, ok := s.aboveFloor(c.Epoch, key); ok {
			got, err = s.redis.ZRangeByScore(s.ctx, key, &redis.ZRangeBy{Min: fmt.Sprintf("(%d", floor), Max: "+inf"}).Result()
			s.must(err)
		}
		if len(got) != len(members) {
			s.t.Fatalf("%s has %d members, want %d", key, len(got), len(members))
		}
		for i := range got {
			if !bytes.Equal([]byte(got[i]), members[i]) {
				s.t.Fatalf("%s: member %d is %x, want %x", key, i, got[i], members[i])
			}
		}
	}
}

// contents are the keys whose value follows from the primary's: not what says how the model came to be.
func (s *system) contents() (keys []string) {
	s.t.Helper()
	all, err := s.redis.Keys(s.ctx, "*").Result()
	s.must(err)
	for _, key := range all {
		switch {
		case key == readmodel.CheckpointKey, key == readmodel.EvictionsKey:
		case strings.HasSuffix(key, ":live"), strings.HasSuffix(key, ":version"), strings.HasSuffix(key, ":floor"):
		default:
			keys = append(keys, key)
		}
	}
	return keys
}

// aboveFloor says whether a key is a set over all raffles, and from where on it is whole.
func (s *system) aboveFloor(e readmodel.Epoch, key string) (floor int64, ok bool) {
	var size int16
	if n, err := fmt.Sscanf(key, "{s%d}:", &size); n != 1 || err != nil {
		return 0, false
	}
	return s.floor(e, size), true
}

func (s *system) members(key string) ([]string, error) {
	switch kind := s.redis.Type(s.ctx, key).Val(); kind {
	case "zset":
		return s.redis.ZRange(s.ctx, key, 0, -1).Result()
	case "set":
		return s.redis.Sort(s.ctx, key, &redis.Sort{}).Result()
	case "hash":
		return hashMembers(s.redis.HGetAll(s.ctx, key).Result())
	case "string":
		v, err := s.redis.Get(s.ctx, key).Result()
		return []string{v}, err
	default:
		return nil, fmt.Errorf("%s is a %s", key, kind)
	}
}

func TestConfigurationNamesEverythingThatIsWrong(t *testing.T) {
	c := &config{PrimaryURL: "postgres://x:secret@host:notaport/", RedisURL: "redis://a:1,b:2"}
	var text string
	for _, err := range c.Check() {
		if err != nil {
			text += err.Error() + "\n"
		}
	}
	for _, want := range []string{"PRIMARY_URL", "REDIS_URL"} {
		if !bytes.Contains([]byte(text), []byte(want)) {
			t.Errorf("%q says nothing about %s", text, want)
		}
	}
	if bytes.Contains([]byte(text), []byte("secret")) {
		t.Errorf("%q holds the password", text)
	}
}

func TestStopFinishesWithin10Seconds(t *testing.T) {
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(100)
	s.equal()
	begun := time.Now()
	if code := s.Stop(t); code != 0 || time.Since(begun) > 10*time.Second {
		t.Fatalf("SIGTERM: exit status %d after %v", code, time.Since(begun))
	}
}
