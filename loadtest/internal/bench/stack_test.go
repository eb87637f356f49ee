package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
)

// durable is the setting of every measured cluster: nothing is switched off that makes a commit last.
var durable = []testenv.Option{
	testenv.OnDisk(), testenv.Set("fsync", "on"), testenv.Set("full_page_writes", "on"), testenv.Set("synchronous_commit", "on"),
	testenv.Set("shared_buffers", "1GB"), testenv.Set("max_wal_size", "4GB"), testenv.Set("min_wal_size", "1GB"),
	testenv.Set("checkpoint_timeout", "15min"), testenv.Set("wal_init_zero", "on"), testenv.Set("random_page_cost", "1.1"),
}

// stack is the write path with everything attached that it has in production.
type stack struct {
	*build
	primary, standby    *testenv.Postgres
	redis               *testenv.Redis
	command, replicator *testenv.Program
	commandAddr         string
	bearer              []string // tokens of users
	// The front door, if there is one.
	doorAddr string
	doorPID  int
}

func startStack(b *testing.B) *stack { return tree.startStack(b) }

func (v *build) startStack(b *testing.B) *stack {
	b.Helper()
	s := &stack{build: v, primary: v.startPrimary(b), redis: v.startRedis(b)}
	v.seed(b, s.primary, "demo")
	s.standby = s.primary.StartStandby(b, durable...)
	s.replicator, _ = v.start(b, "replicator", "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+s.redis.URL())
	var admin string
	s.command, s.commandAddr, admin = v.startBoth(b, "command", v.unlimited(), "PRIMARY_URL="+s.primary.URL("command"), "LOGIN_CORES=2", "JWT_KEYS_DIR="+b.TempDir(), "LOG_LEVEL=warn")
	if os.Getenv("BENCH_DOOR") != "no" {
		s.doorAddr, s.doorPID = v.startDoor(b, s.commandAddr, admin)
	}
	return s
}

func startService(b *testing.B, name string, environment ...string) (p *testenv.Program, addr string) {
	b.Helper()
	return tree.start(b, name, environment...)
}

// start starts a program of the build and waits until it is ready.
func (v *build) start(b *testing.B, name string, environment ...string) (p *testenv.Program, addr string) {
	b.Helper()
	p, addr, _ = v.startBoth(b, name, environment...)
	return p, addr
}

// startBoth is start and returns the address of the admin listener, too.
func (v *build) startBoth(b *testing.B, name string, environment ...string) (p *testenv.Program, addr, admin string) {
	b.Helper()
	addr = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b))
	admin = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b))
	p = testenv.StartProcess(b, testenv.Process{
		Path:  v.program(b, "./"+name),
		Env:   append(environment, "LISTEN_ADDR="+addr, "ADMIN_ADDR="+admin),
		Ready: "http://" + admin + "/readyz",
	})
	return p, addr, admin
}

// unlimited lifts the rate limits. Commits that have them in a folder of command limit nobody unless told to, and do not
// know the rate of reads.
func (v *build) unlimited() string {
	if _, err := os.Stat(filepath.Join(v.root, "internal/limit")); err != nil {
		return "RATE_LIMIT="
	}
	return testenv.Unlimited
}

// seed loads the build's data set.
func (v *build) seed(b *testing.B, primary *testenv.Postgres, scale string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, v.program(b, "./loadtest"), "seed", "--scale", scale)
	c.Env = append(os.Environ(), "SEED_URL="+primary.URL("migrator"))
	if out, err := testenv.Run(c); err != nil {
		b.Fatalf("seed: %v\n%s", err, out)
	}
}

// bidders is how many users bid.
const bidders = 64

// tokens logs in the first users of the data set.
func tokens(b *testing.B, addr string) []string {
	b.Helper()
	all := make([]string, bidders)
	for i := range all {
		body := fmt.Sprintf(`{"login":"user%d","password":"pyramid"}`, i+1)
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		req.SetRequestURI("http://" + addr + "/v1/login")
		req.Header.SetMethod(fasthttp.MethodPost)
		req.Header.SetContentType("application/json")
		req.SetBodyString(body)
		if err := fasthttp.Do(req, resp); err != nil {
			b.Fatal(err)
		}
		var token struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal(resp.Body(), &token); err != nil || token.AccessToken == "" {
			b.Fatalf("login: %d %s %v", resp.StatusCode(), resp.Body(), err)
		}
		all[i] = token.AccessToken
	}
	return all
}

// cpu is the processor time so far of every process, by name.
func (s *stack) cpu(b *testing.B) map[string]time.Duration {
	b.Helper()
	used := map[string]time.Duration{"generator": engine.SelfCPU()}
	pids := map[string]int{
		"command": s.command.PID(), "replicator": s.replicator.PID(), "redis": s.redis.PID(),
		"primary": s.primary.PID(), "standby": s.standby.PID(),
	}
	if s.doorPID != 0 {
		pids["haproxy"] = s.doorPID
	}
	for name, pid := range pids {
		t, err := treeCPU(pid)
		if err != nil {
			b.Fatal(err)
		}
		used[name] = t
	}
	return used
}

// treeCPU is what a process and its descendants have used.
func treeCPU(pid int) (time.Duration, error) {
	used, err := engine.TreesCPU(map[string]int{"": pid})
	if _, ok := used[""]; !ok && err == nil {
		err = fmt.Errorf("there is no process %d", pid)
	}
	return used[""], err
}
