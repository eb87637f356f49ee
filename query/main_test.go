package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// The service starts while everything is down, reports that, recovers by itself, and ends within 10 s of SIGTERM.
func TestStartsWithEverythingDownAndRecovers(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	s.redis.Stop(t)
	s.pgpool.Stop(t)
	s.standby.Stop(t)
	s.primary.Kill(t)
	public, admin := testenv.FreePort(t), testenv.FreePort(t)
	s.url = fmt.Sprintf("http://127.0.0.1:%d", public)
	adminURL := fmt.Sprintf("http://127.0.0.1:%d", admin)
	program := testenv.StartProcess(t, testenv.Process{
		Path: testenv.Binary(t, "./query"), Env: processEnv(s, public, admin), Ready: adminURL + "/livez",
	})
	for path, want := range map[string]int{adminURL + "/readyz": 503, s.url + someBids: 503, s.url + "/hello": 200, s.url + "/metrics": 404, adminURL + "/metrics": 200} {
		if a := request(t, http.MethodGet, path); a.status != want {
			t.Errorf("with everything down %s answers %d, want %d", path, a.status, want)
		}
	}
	s.primary.Start(t)
	s.standby.Start(t)
	s.use(t, s.primary)
	testenv.Eventually(t, patience, "the standby answers", func() bool { s.beat(t); return s.get(t, someBids).path() == "standby" })
	s.redis.Start(t)
	s.setCheckpoint(t, func(c *readmodel.Checkpoint) { c.Server = s.started(t) }) // a replicator has come back
	testenv.Eventually(t, patience, "Redis answers", func() bool { return s.get(t, someBids).path() == "redis" })
	if a := request(t, http.MethodGet, adminURL+"/readyz"); a.status != http.StatusOK {
		t.Errorf("readyz: %d %s", a.status, a.body)
	}
	metrics := request(t, http.MethodGet, adminURL+"/metrics").body
	for _, want := range []string{`query_path_breaker_open{path="redis"} 0`, `query_path_duration_seconds_count{path="redis",result="answered"}`, "http_request_duration_seconds"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no metric %s", want)
		}
	}
	s.redis.Pause(t)
	start := time.Now()
	if status := program.Stop(t); status != 0 || time.Since(start) > 10*time.Second {
		t.Errorf("SIGTERM: status %d after %v", status, time.Since(start))
	}
	s.redis.Resume(t)
	s.pgpool.Start(t)
}

// After SIGTERM the service says at once that it is not ready, answers until the front door knows, and ends its feeds
// meanwhile in the usual way.
func TestDrains(t *testing.T) {
	s := startStack(t)
	public, admin := testenv.FreePort(t), testenv.FreePort(t)
	s.url = fmt.Sprintf("http://127.0.0.1:%d", public)
	program := testenv.StartProcess(t, testenv.Process{
		Path: testenv.Binary(t, "./query"), Env: append(processEnv(s, public, admin), "DRAIN_DELAY=1s"), Ready: fmt.Sprintf("http://127.0.0.1:%d/readyz", admin),
	})
	feed := s.feedOf(t)
	program.Signal(t, syscall.SIGTERM)
	began := time.Now()
	testenv.Eventually(t, 900*time.Millisecond, "the service is not ready", func() bool {
		return request(t, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/readyz", admin)).status == http.StatusServiceUnavailable
	})
	if a := s.get(t, someBids); a.status != http.StatusOK {
		t.Errorf("a read during the drain: %d %s", a.status, a.body)
	}
	for feed.Scan() {
	}
	if err := feed.Err(); err != nil { // a feed that is cut off ends with io.ErrUnexpectedEOF
		t.Errorf("the feed: %v", err)
	}
	if status, took := program.Wait(t), time.Since(began); status != 0 || took > 10*time.Second || took < 900*time.Millisecond {
		t.Errorf("exit status %d after %v", status, took)
	}
}

// The lag does not depend on the service's clock.
func TestAWrongClockChangesNoLag_P7(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	for _, offset := range []string{"5s", "-5s"} {
		public, admin := testenv.FreePort(t), testenv.FreePort(t)
		s.url = fmt.Sprintf("http://127.0.0.1:%d", public)
		testenv.StartProcess(t, testenv.Process{Path: testenv.Binary(t, "./query"),
			Env: append(processEnv(s, public, admin), "CLOCK_OFFSET="+offset, "ALLOW_READ_PATH=true"), Ready: fmt.Sprintf("http://127.0.0.1:%d/readyz", admin)})
		for _, path := range []string{"redis", "replica", "standby", "primary"} {
			var a answer
			testenv.Eventually(t, patience, path+" answers", func() bool {
				s.heartbeat(t)
				a = s.get(t, someBids, "Read-Path", path)
				return a.path() == path
			})
			lag, err := strconv.Atoi(a.header.Get("Read-Lag-Ms"))
			if path != "redis" && (err != nil || lag > 2000) { // no replicator takes the heartbeats to Redis
				t.Errorf("clock off by %s: %s says a lag of %d ms, %v", offset, path, lag, err)
			}
		}
	}
}

func processEnv(s *stack, public, admin int) []string {
	c := s.config()
	return []string{
		fmt.Sprintf("LISTEN_ADDR=127.0.0.1:%d", public), fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", admin),
		"PRIMARY_URL=" + c.PrimaryURL, "REPLICA_URL=" + c.ReplicaURL, "STANDBY_URL=" + c.StandbyURL, "REDIS_URL=" + c.RedisURL,
		"REDIS_MAX_LAG=1h", // the loader writes no heartbeats
	}
}

func TestConfigReportsEverythingWrongAtOnce(t *testing.T) {
	for name, value := range map[string]string{
		"LISTEN_ADDR": "no-port", "ADMIN_ADDR": "127.0.0.1:1", "PRIMARY_URL": "postgres://x:secret@h:port/db", "STANDBY_URL": "",
		"REPLICA_URL": "postgres://query:secret@127.0.0.1/pyramid?target_session_attrs=prefer-standby",
		"REDIS_URL":   "redis://:secret@a:1,b:2/0", "MIN_LSN_WAIT": "-1s", "REDIS_MAX_LAG": "0s", "JWKS_URL": "127.0.0.1/keys", "ALLOW_READ_PATH": "perhaps",
		"CORS_ORIGINS": "*,https://shop.example.com/",
	} {
		t.Setenv(name, value)
	}
	_, err := env.Parse(&config{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"LISTEN_ADDR", "PRIMARY_URL", "REPLICA_URL", "REDIS_URL", "MIN_LSN_WAIT", "REDIS_MAX_LAG", "JWKS_URL", "AllowReadPath", `"*"`, `"https://shop.example.com/"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("a password is in %v", err)
	}
}

func TestRedisURL(t *testing.T) {
	for value, good := range map[string]bool{
		"redis://127.0.0.1:6379/0": true, "rediss://u:p@h:1/0": true, "": true, "redis://h": true,
		"redis://a:1,b:2/0": false, "redis://a:1?addr=b:2": false, "http://h:1": false, "h:1": false, "redis://": false, "redis://h:1/x": false,
	} {
		if err := checkRedis(value); (err == nil) != good {
			t.Errorf("%q: %v", value, err)
		}
	}
}
