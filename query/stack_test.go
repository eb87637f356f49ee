package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/api"
)

var allPaths = []string{"redis", "replica", "standby", "primary"}

const patience = 30 * time.Second

// stack is the service in this process, with real servers of its own behind it.
type stack struct {
	primary, standby *testenv.Postgres
	pgpool           *testenv.Pgpool
	redis            *testenv.Redis
	url              string
	sql              *pgx.Conn // superuser on the primary
	rdb              *redis.Client
	checkpoint       readmodel.Checkpoint
	metrics          *prometheus.Registry // of the latest serve
}

// startStack starts everything with the rows of fill, which are also in Redis.
func startStack(t testing.TB) *stack {
	t.Helper()
	s := &stack{primary: testenv.StartPostgres(t), redis: testenv.StartRedis(t)}
	s.standby = s.primary.StartStandby(t)
	s.pgpool = testenv.StartPgpool(t, s.primary, s.standby)
	s.connect(t)
	s.fill(t)
	s.standby.WaitReplay(t)
	s.load(t, 1, "token-1")
	s.url = s.serve(t, s.config())
	testenv.Eventually(t, patience, "every path answers", func() bool {
		for _, p := range allPaths {
			if s.get(t, "/v1/raffles?status=all", "Read-Path", p).status != http.StatusOK {
				return false
			}
		}
		return true
	})
	return s
}

func (s *stack) config() *config {
	return &config{
		Common:     env.Common{ListenAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0"},
		PrimaryURL: s.primary.URL("query"), ReplicaURL: s.pgpool.URL("query"), StandbyURL: s.standby.URL("query"),
		RedisURL: s.redis.URL(), AllowReadPath: true, MinLSNWait: 300 * time.Millisecond, LiveMax: 100, LiveAddressMax: 100,
		RedisMaxLag: time.Hour, StandbyMaxLag: time.Hour, // nobody writes heartbeats
	}
}

func (s *stack) connect(t testing.TB) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	options, err := redis.ParseURL(s.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	s.sql, s.rdb = conn, redis.NewClient(options)
	t.Cleanup(func() {
		if err := s.rdb.Close(); err != nil {
			t.Error(err)
		}
		if err := s.sql.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// serve runs the service as main does, without its listeners.
func (s *stack) serve(t testing.TB, c *config) string {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	reg := prometheus.NewRegistry()
	s.metrics = reg
	b, err := openBackends(c, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var watched errgroup.Group
	for _, run := range []func(context.Context) error{b.primary.Run, b.trust.Watch, b.chain.Watch, b.feed.Run} {
		watched.Go(func() error { return run(ctx) })
	}
	testenv.Eventually(t, patience, "the primary is watched", func() bool { return b.primary.State().Connected })
	s.heartbeat(t) // so that the standby can show that it follows
	parts := api.Parts{Book: b.chain, Feed: b.feed, Verifier: b.verifier, Limits: limit.NewGuard(c.RateLimit, c.TrustedProxies, reg)}
	server := httptest.NewServer(api.New(log, reg, parts, c.AllowReadPath, document))
	t.Cleanup(func() {
		stop()
		if err := watched.Wait(); err != nil {
			t.Error(err)
		}
		server.Close()
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

// answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration
}

func (a answer) path() string { return a.header.Get("Read-Path") }

// get asks with headers given as names and values in turn. Every answer is held against the document.
func (s *stack) get(t testing.TB, path string, headers ...string) answer {
	t.Helper()
	a := request(t, http.MethodGet, s.url+path, headers...)
	if a.header.Get("Content-Encoding") == "" {
		holdToDocument(t, path, a)
	}
	return a
}

func request(t testing.TB, method, url string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "identity") // otherwise the client asks for gzip
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Accept-Encoding" {
			r.Header.Del(headers[i])
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	start := time.Now()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body), time.Since(start)}
}

// expect asks and checks status and path. On a busy machine a path may exceed its budget; then expect asks again.
func (s *stack) expect(t testing.TB, status int, from, path string, headers ...string) answer {
	t.Helper()
	slow := func() uint64 {
		return s.tries(t, from, "failed") + s.tries(t, from, "busy") + s.tries(t, from, "spared")
	}
	var a answer
	for again, was, end := true, slow(), time.Now().Add(patience); again; {
		a = s.get(t, path, headers...)
		now := slow()
		again, was = from != "" && a.path() != from && now > was && time.Now().Before(end), now
	}
	if a.status != status || a.path() != from {
		t.Errorf("GET %s %v: %d from %q, want %d from %q: %s", path, headers, a.status, a.path(), status, from, a.body)
	}
	return a
}

func decode[T any](t testing.TB, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

func problemOf(t testing.TB, a answer) web.Problem { return decode[web.Problem](t, a) }

// tries is how many reads of a path have ended with a result.
func (s *stack) tries(t testing.TB, path, result string) (n uint64) {
	t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "query_path_duration_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := m.GetLabel() // sorted by name
			if labels[0].GetValue() == path && labels[1].GetValue() == result {
				n += m.GetHistogram().GetSampleCount()
			}
		}
	}
	return n
}
