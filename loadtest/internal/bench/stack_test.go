package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
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
	primary, standby    *testenv.Postgres
	redis               *testenv.Redis
	command, replicator *testenv.Program
	commandAddr         string
}

func startStack(b *testing.B) *stack {
	b.Helper()
	s := &stack{primary: testenv.StartPostgres(b, durable...), redis: testenv.StartRedis(b)}
	seed(b, s.primary)
	s.standby = s.primary.StartStandby(b, durable...)
	s.replicator, _ = startService(b, "replicator", "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+s.redis.URL())
	s.command, s.commandAddr = startService(b, "command", testenv.Unlimited, "PRIMARY_URL="+s.primary.URL("command"), "LOGIN_CORES=2", "JWT_KEYS_DIR="+b.TempDir(), "LOG_LEVEL=warn")
	return s
}

func startService(b *testing.B, name string, environment ...string) (p *testenv.Program, addr string) {
	b.Helper()
	addr = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b))
	admin := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b))
	p = testenv.StartProcess(b, testenv.Process{
		Path:  testenv.Binary(b, "./"+name),
		Env:   append(environment, "LISTEN_ADDR="+addr, "ADMIN_ADDR="+admin),
		Ready: "http://" + admin + "/readyz",
	})
	return p, addr
}

func seed(b *testing.B, primary *testenv.Postgres) { seedScale(b, primary, "demo") }

func seedScale(b *testing.B, primary *testenv.Postgres, scale string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, testenv.Binary(b, "./loadtest"), "seed", "--scale", scale)
	c.Env = append(os.Environ(), "SEED_URL="+primary.URL("migrator"))
	if out, err := c.CombinedOutput(); err != nil {
		b.Fatalf("seed: %v\n%s", err, out)
	}
}

// tokens logs in users 1 to n of the demo data.
func tokens(b *testing.B, addr string, n int) []string {
	b.Helper()
	all := make([]string, n)
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
	for name, pid := range map[string]int{
		"command": s.command.PID(), "replicator": s.replicator.PID(), "redis": s.redis.PID(),
		"primary": s.primary.PID(), "standby": s.standby.PID(),
	} {
		t, err := engine.TreeCPU(pid)
		if err != nil {
			b.Fatal(err)
		}
		used[name] = t
	}
	return used
}
