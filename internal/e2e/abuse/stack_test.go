package abuse

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// stack is the whole system with its front door. Raffles from openRaffle on are open.
type stack struct {
	primary  *testenv.Postgres
	redis    *testenv.Redis
	rdb      *redis.Client
	programs map[string]*testenv.Program
	url      string
}

const (
	openRaffle  = 901
	hottest     = openRaffle + 80
	hottestBids = 100_000 // bids, which SQL counts in some 20 ms
	patience    = 20 * time.Second
)

// limits are so wide that the steady load, which comes from steadyAddresses, is well within them.
var limits = []string{"ADDRESS_CONNS=300", "ADDRESS_RATE=1000", "ADDRESS_FEEDS=50"}

func startStack(t testing.TB) *stack {
	t.Helper()
	s := &stack{primary: testenv.StartPostgres(t), redis: testenv.StartRedis(t), programs: map[string]*testenv.Program{}}
	s.seed(t)
	standby := s.primary.StartStandby(t)
	pgpool := testenv.StartPgpool(t, s.primary, standby)
	commandURL, commandAdmin := s.startService(t, "command", "PRIMARY_URL="+s.primary.URL("command"), "JWT_KEYS_DIR="+t.TempDir())
	s.startService(t, "replicator", "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+s.redis.URL())
	queryURL, queryAdmin := s.startService(t, "query", "PRIMARY_URL="+s.primary.URL("query"), "REPLICA_URL="+pgpool.URL("query"),
		"STANDBY_URL="+standby.URL("query"), "REDIS_URL="+s.redis.URL(), "JWKS_URL=http://"+commandURL+"/.well-known/jwks.json")
	_, s.url, _ = testenv.StartFrontDoor(t, testenv.FrontDoor{Command: []testenv.Instance{{Public: commandURL, Admin: commandAdmin}},
		Query: []testenv.Instance{{Public: queryURL, Admin: queryAdmin}}, Limits: limits})
	options, err := redis.ParseURL(s.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	s.rdb = redis.NewClient(options)
	t.Cleanup(func() {
		if err := s.rdb.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *stack) startService(t testing.TB, name string, environment ...string) (listen, admin string) {
	t.Helper()
	listen, admin = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	s.programs[name] = testenv.StartProcess(t, testenv.Process{
		Path:  testenv.Binary(t, "./"+name),
		Env:   append(environment, "LISTEN_ADDR="+listen, "ADMIN_ADDR="+admin, "LOG_LEVEL=error"),
		Ready: "http://" + admin + "/readyz",
	})
	return listen, admin
}

func (s *stack) seed(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, testenv.Binary(t, "./loadtest"), "seed", "--scale", "demo", "--bids", "20000")
	c.Env = append(os.Environ(), "SEED_URL="+s.primary.URL("migrator"))
	if out, err := testenv.Run(c); err != nil {
		t.Fatalf("seed: %v\n%s", err, out)
	}
	conn, err := pgx.Connect(ctx, s.primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(ctx, `INSERT INTO bids (raffle_id, user_id, size, price, created_at)
		SELECT $1, 1 + i % 1000, 250 + 5 * (i % 11), 1 + i % 300 * 1000, clock_timestamp() FROM generate_series(1, $2::int) i`, hottest, hottestBids)
	if err != nil {
		t.Fatal(err)
	}
}

// memory is the resident bytes of each service.
func (s *stack) memory(t testing.TB) map[string]int64 {
	t.Helper()
	sizes := map[string]int64{}
	for name, p := range s.programs {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID()))
		if err != nil {
			t.Fatal(err)
		}
		pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sizes[name] = pages * int64(os.Getpagesize())
	}
	return sizes
}

// clientFrom is an HTTP client at an address of its own.
func clientFrom(address string, conns int) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 5 * time.Second}
	return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DialContext: dialer.DialContext,
		MaxConnsPerHost: conns, MaxIdleConnsPerHost: conns, DisableCompression: true}}
}

// login returns the header Authorization of a seeded user.
func (s *stack) login(t testing.TB, c *http.Client, user int) string {
	t.Helper()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	testenv.EventuallyNoError(t, patience, "login", func() error {
		w, err := c.Post(s.url+"/v1/login", "application/json", strings.NewReader(fmt.Sprintf(`{"login":"user%d","password":"pyramid"}`, user)))
		if err != nil {
			return err
		}
		defer w.Body.Close()
		if w.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", w.StatusCode)
		}
		return json.NewDecoder(w.Body).Decode(&token)
	})
	return "Bearer " + token.AccessToken
}
