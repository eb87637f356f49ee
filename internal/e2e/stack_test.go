package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// stack is the whole system without its front door, with some demo data.
type stack struct {
	primary, standby               *testenv.Postgres
	pgpool                         *testenv.Pgpool
	redis                          *testenv.Redis
	command, query, replicator     *testenv.Program
	commandURL, queryURL           string
	commandAdmin, queryAdmin       string // addresses
	replicatorURL, replicatorAdmin string
	client                         *http.Client
	keys                           string   // the folder of command's keys
	settings                       []string // of all services
}

// demoBids is enough for the hot raffles to have several pages, and loads in a moment.
const demoBids = "5000"

// startStack takes options of Redis.
func startStack(t testing.TB, options ...testenv.Option) *stack {
	t.Helper()
	s := newStack(t, options...)
	s.startServices(t)
	return s
}

// newStack is a stack whose services do not run yet.
func newStack(t testing.TB, options ...testenv.Option) *stack {
	t.Helper()
	s := &stack{primary: testenv.StartPostgres(t), redis: testenv.StartRedis(t, options...), keys: t.TempDir()}
	s.seed(t)
	s.standby = s.primary.StartStandby(t)
	s.pgpool = testenv.StartPgpool(t, s.primary, s.standby)
	s.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

func (s *stack) startServices(t testing.TB) {
	t.Helper()
	s.command, s.commandURL, s.commandAdmin = s.startCommand(t)
	s.replicator, s.replicatorURL, s.replicatorAdmin = startService(t, "replicator", slices.Concat(s.settings,
		[]string{"PRIMARY_URL=" + s.primary.URL("replicator"), "REDIS_URL=" + s.redis.URLOf("replicator"), s.redis.Trust()})...)
	s.query, s.queryURL, s.queryAdmin = s.startQuery(t)
}

// startCommand starts an instance of the write side, with further settings.
func (s *stack) startCommand(t testing.TB, settings ...string) (program *testenv.Program, url, admin string) {
	t.Helper()
	usual := []string{"PRIMARY_URL=" + s.primary.URL("command"), "LOGIN_CORES=2", "JWT_KEYS_DIR=" + s.keys}
	return startService(t, "command", slices.Concat(usual, s.settings, settings)...)
}

// startQuery starts an instance of the read side, with further settings.
func (s *stack) startQuery(t testing.TB, settings ...string) (program *testenv.Program, url, admin string) {
	t.Helper()
	usual := []string{testenv.Unlimited, "PRIMARY_URL=" + s.primary.URL("query"), "REPLICA_URL=" + s.pgpool.URL("query"),
		"STANDBY_URL=" + s.standby.URL("query"), "REDIS_URL=" + s.redis.URLOf("query"), s.redis.Trust(), "ALLOW_READ_PATH=true",
		"JWKS_URL=" + s.commandURL + "/.well-known/jwks.json"}
	return startService(t, "query", slices.Concat(usual, s.settings, settings)...)
}

func startService(t testing.TB, name string, environment ...string) (program *testenv.Program, url, admin string) {
	t.Helper()
	listen := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	admin = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	program = testenv.StartProcess(t, testenv.Process{
		Path:  testenv.Binary(t, "./"+name),
		Env:   append(environment, "LISTEN_ADDR="+listen, "ADMIN_ADDR="+admin),
		Ready: "http://" + admin + "/readyz",
	})
	return program, "http://" + listen, admin
}

func (s *stack) seed(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, testenv.Binary(t, "./loadtest"), "seed", "--scale", "demo", "--bids", demoBids)
	c.Env = append(os.Environ(), "SEED_URL="+s.primary.URL("migrator"))
	if out, err := testenv.Run(c); err != nil {
		t.Fatalf("seed: %v\n%s", err, out)
	}
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends one request; header is a list of names and values. The error is the transport's.
func (s *stack) do(method, url string, body any, header ...string) (answer, error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		in = bytes.NewReader(raw)
		header = append(header, "Content-Type", "application/json")
	}
	r, err := http.NewRequestWithContext(context.Background(), method, url, in)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w, err := s.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	out, err := io.ReadAll(w.Body)
	if closeErr := w.Body.Close(); err == nil {
		err = closeErr
	}
	return answer{w.StatusCode, w.Header, out}, err
}

// must is do, but fails the test if the answer has another status.
func (s *stack) must(t testing.TB, status int, method, url string, body any, header ...string) answer {
	t.Helper()
	a, err := s.do(method, url, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	if a.status != status {
		t.Fatalf("%s %s: %d %s, want %d", method, url, a.status, a.body, status)
	}
	return a
}

// openRaffle is the demo data's first open raffle.
const openRaffle = 901

func (s *stack) bidsURL(raffle int64) string {
	return fmt.Sprintf("%s/v1/raffles/%d/bids", s.commandURL, raffle)
}

func (s *stack) lookupURL(raffle int64, parameters string) string {
	return fmt.Sprintf("%s/v1/raffles/%d/bids?%s", s.queryURL, raffle, parameters)
}

// positionLSN is the LSN of a position. It is enough to compare, because these tests stay on one timeline.
func positionLSN(text string) (lsn.LSN, error) {
	p, err := lsn.ParsePosition(text)
	return p.LSN, err
}
