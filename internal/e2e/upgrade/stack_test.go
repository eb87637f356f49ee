package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/release"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// side is one release's instance of each service.
type side struct {
	name                       string
	bin                        func(program string) string
	command, query, replicator *testenv.Program
	commandURL, queryURL       string
}

// stack is the servers and both sides.
type stack struct {
	primary, standby *testenv.Postgres
	pgpool           *testenv.Pgpool
	redis            *testenv.Redis
	keys             string
	release          release.Release
	old, new         *side
	client           *http.Client
}

const demoBids = "3000"

func startStack(t *testing.T) *stack {
	t.Helper()
	last, err := release.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := last.Build(t.Context(), "./command", "./query", "./replicator")
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{release: last, primary: testenv.StartPostgres(t), redis: testenv.StartRedis(t), keys: t.TempDir()}
	s.old = &side{name: "the last release", bin: func(program string) string { return filepath.Join(dir, program) }}
	s.new = &side{name: "the working tree", bin: func(program string) string { return testenv.Binary(t, "./"+program) }}
	s.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(s.client.CloseIdleConnections)
	s.seed(t)
	s.takeBack(t)
	s.standby = s.primary.StartStandby(t)
	s.pgpool = testenv.StartPgpool(t, s.primary, s.standby)
	s.startCommand(t, s.old)
	s.startCommand(t, s.new)
	s.startReaders(t, s.old, s.new.commandURL)
	s.startReaders(t, s.new, s.old.commandURL)
	return s
}

func (s *stack) startCommand(t *testing.T, on *side) {
	t.Helper()
	on.command, on.commandURL = start(t, on.bin("command"), "PRIMARY_URL="+s.primary.URL("command"), "LOGIN_CORES=2", "JWT_KEYS_DIR="+s.keys)
}

// startReaders starts a replicator, and a query that takes its keys from a command of the other side.
func (s *stack) startReaders(t *testing.T, on *side, keys string) {
	t.Helper()
	on.replicator, _ = start(t, on.bin("replicator"), "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+s.redis.URL())
	on.query, on.queryURL = start(t, on.bin("query"), testenv.Unlimited, "PRIMARY_URL="+s.primary.URL("query"), "REPLICA_URL="+s.pgpool.URL("query"),
		"STANDBY_URL="+s.standby.URL("query"), "REDIS_URL="+s.redis.URL(), "ALLOW_READ_PATH=true", "REDIS_MAX_LAG=1h", "JWKS_URL="+keys+"/.well-known/jwks.json")
}

func start(t *testing.T, path string, environment ...string) (program *testenv.Program, url string) {
	t.Helper()
	listen, admin := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	program = testenv.StartProcess(t, testenv.Process{
		Path: path, Env: append(environment, "LISTEN_ADDR="+listen, "ADMIN_ADDR="+admin), Ready: "http://" + admin + "/readyz"})
	return program, "http://" + listen
}

func (s *stack) seed(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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

// do sends one request; header is a list of names and values.
func (s *stack) do(ctx context.Context, method, url string, body any, header ...string) (a answer, err error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return a, err
		}
		in = bytes.NewReader(raw)
		header = append(header, "Content-Type", "application/json")
	}
	r, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		return a, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w, err := s.client.Do(r)
	if err != nil {
		return a, err
	}
	defer w.Body.Close()
	a.status, a.header = w.StatusCode, w.Header
	a.body, err = io.ReadAll(w.Body)
	return a, err
}

// want is do for an answer of one status; any other is an error.
func (s *stack) want(ctx context.Context, status int, method, url string, body any, header ...string) (answer, error) {
	a, err := s.do(ctx, method, url, body, header...)
	if err == nil && a.status != status {
		err = fmt.Errorf("status %d %s", a.status, a.body)
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", method, url, err)
	}
	return a, err
}

// login returns what a user of a side's command sends as Authorization.
func (s *stack) login(t *testing.T, on *side, user string) string {
	t.Helper()
	a, err := s.want(t.Context(), http.StatusOK, "POST", on.commandURL+"/v1/login", map[string]string{"login": user, "password": "pyramid"})
	if err != nil {
		t.Fatal(err)
	}
	var token struct {
		Text string `json:"access_token"`
	}
	if err := json.Unmarshal(a.body, &token); err != nil {
		t.Fatal(err)
	}
	return "Bearer " + token.Text
}

// verify compares all of Redis with the primary by the replicator's program of a side.
func (s *stack) verify(t *testing.T, by *side) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, by.bin("replicator"), "verify")
	c.Env = append(os.Environ(), "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+s.redis.URL())
	if out, err := testenv.Run(c); err != nil {
		t.Errorf("verify by %s: %v\n%s", by.name, err, out)
	}
}
