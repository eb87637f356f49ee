package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// logs are what each part of the stack has written.
func (s *stack) logs(t testing.TB, door *testenv.HAProxy) map[string]string {
	t.Helper()
	return map[string]string{"command": s.command.Output(), "query": s.query.Output(), "replicator": s.replicator.Output(),
		"primary": s.primary.Log(), "standby": s.standby.Log(), "pgpool": s.pgpool.Log(), "redis": s.redis.Log(), "haproxy": door.Log(t)}
}

// busyStack is a stack behind a front door that logs all requests, with a comparison in the background several times a second.
func busyStack(t testing.TB) (*stack, *testenv.HAProxy, string) {
	t.Helper()
	s := newStack(t)
	s.settings = []string{"LOG_LEVEL=debug", "VERIFY_INTERVAL=200ms"}
	s.startServices(t)
	door, url, _ := testenv.StartFrontDoor(t, testenv.FrontDoor{Command: []testenv.Instance{{Public: s.commandURL, Admin: s.commandAdmin}},
		Query: []testenv.Instance{{Public: s.queryURL, Admin: s.queryAdmin}}, Limits: []string{"LOG_SAMPLE=1"}})
	return s, door, url
}

// A healthy system logs no error, so an alert on errors in logs can be trusted. Each line of a service is JSON and names it.
func TestAHealthySystemLogsNoError(t *testing.T) {
	t.Parallel()
	s, door, url := busyStack(t)
	user := s.login(t, "user1")
	for i := range 50 {
		bid := s.must(t, 201, "POST", fmt.Sprintf("%s/v1/raffles/%d/bids", url, openRaffle+i%5), map[string]int{"size": 270, "price": 1000 + i}, "Authorization", user)
		s.must(t, 200, "GET", fmt.Sprintf("%s/v1/raffles/%d/bids?size=270", url, openRaffle+i%5), nil, "Min-LSN", bid.header.Get("Commit-LSN"))
		s.must(t, 200, "GET", url+"/v1/me/bids", nil, "Authorization", user)
	}
	s.awaitPasses(t, 3)
	frontDoor := door.Log(t) // before it finds that the services are gone
	s.command.Stop(t)
	s.query.Stop(t)
	s.replicator.Stop(t)
	all := s.logs(t, door)
	all["haproxy"] = frontDoor
	for part, text := range all {
		for line := range strings.Lines(text) {
			if trouble.MatchString(line) && !gaveUp.MatchString(line) {
				t.Errorf("%s: %s", part, line)
			}
		}
	}
	s.linesAreJSON(t)
}

// linesAreJSON looks at each line of the services.
func (s *stack) linesAreJSON(t testing.TB) {
	t.Helper()
	for service, program := range map[string]*testenv.Program{"command": s.command, "query": s.query, "replicator": s.replicator} {
		for line := range strings.Lines(program.Output()) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["service"] != service {
				t.Errorf("%s: %v: %s", service, err, line)
			}
		}
	}
}

// What libraries print while Redis and the primary are away is JSON, too, and names the service. The closer, which tries twice a
// second, says once that it can't work.
func TestLinesAreJSONWhileServersAreAway(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.settings = []string{"LOG_LEVEL=debug"}
	s.startServices(t)
	s.redis.Pause(t)
	testenv.Eventually(t, patience, "the replicator misses Redis", func() bool { return strings.Contains(s.replicator.Output(), `"level":"WARN"`) })
	s.must(t, 200, "GET", s.lookupURL(openRaffle, "size=270"), nil)
	s.redis.Kill(t)
	s.must(t, 200, "GET", s.lookupURL(openRaffle, "size=270"), nil)
	testenv.Eventually(t, patience, "go-redis has printed something in both services that have it", func() bool {
		const text = "connection pool: failed to dial"
		return strings.Contains(s.query.Output(), text) && strings.Contains(s.replicator.Output(), text)
	})
	s.primary.Kill(t)
	testenv.Eventually(t, patience, "command misses the primary", func() bool { return strings.Contains(s.command.Output(), "the closer's session ended") })
	s.primary.Start(t)
	s.redis.Start(t)
	testenv.Eventually(t, patience, "all is well again", func() bool {
		a, err := s.do("GET", s.lookupURL(openRaffle, "size=270"), nil, "Read-Path", "redis")
		return err == nil && a.status == 200
	})
	s.linesAreJSON(t)
}

// trouble is how PostgreSQL, pgpool-II, our services and HAProxy mark an error.
var trouble = regexp.MustCompile(`\b(ERROR|FATAL|PANIC)\b|\[ALERT\]`)

// gaveUp is what PostgreSQL and pgpool-II log if query gives up a lookup that took longer than its budget, as may happen on a busy
// machine.
var gaveUp = regexp.MustCompile(`query@\S+ .*(canceling statement due to user request|connection to client lost)|unable to flush data to frontend`)

// No log holds a login name, a password, a token, an idempotency key or a price, at any level.
func TestLogsHoldNothingPersonal(t *testing.T) {
	t.Parallel()
	s, door, url := busyStack(t)
	const login, password, key = "kim.minsu.private", "correct horse battery", "key-of-my-own-bid"
	post := func(status int, path string, body any, header ...string) answer {
		t.Helper()
		return s.must(t, status, "POST", url+path, body, header...)
	}
	account := map[string]string{"login": login, "password": password}
	post(201, "/v1/users", account)
	post(409, "/v1/users", account)
	post(401, "/v1/login", map[string]string{"login": login, "password": password + "x"})
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(post(200, "/v1/login", account).body, &tokens); err != nil || tokens.Access == "" || tokens.Refresh == "" {
		t.Fatalf("%v: %+v", err, tokens)
	}
	bearer := "Bearer " + tokens.Access
	bids := fmt.Sprintf("/v1/raffles/%d/bids", openRaffle)
	for _, price := range []int{1000, 1000, 0} {
		if _, err := s.do("POST", url+bids, map[string]int{"size": 270, "price": price}, "Authorization", bearer, "Idempotency-Key", key); err != nil {
			t.Fatal(err)
		}
	}
	post(422, bids, map[string]int{"size": 270, "price": 2000}, "Authorization", bearer, "Idempotency-Key", key)
	post(401, bids, map[string]int{"size": 270, "price": 1000}, "Authorization", bearer+"x")
	s.must(t, 200, "GET", url+"/v1/me/bids", nil, "Authorization", bearer)
	post(200, "/v1/token", map[string]string{"refresh_token": tokens.Refresh})
	// A statement of command fails in the middle of its work, with all its values.
	s.primary.Exec(t, "ALTER TABLE bids ADD CONSTRAINT refuses CHECK (price <> 1987654321)")
	post(500, bids, map[string]int{"size": 270, "price": 1987654321}, "Authorization", bearer, "Idempotency-Key", key+"-2")
	s.primary.Exec(t, "ALTER TABLE bids DROP CONSTRAINT refuses")
	all := s.logs(t, door)
	if !strings.Contains(all["primary"], `violates check constraint "refuses"`) {
		t.Error("the failing statement is not in the primary's log")
	}
	for part, text := range all {
		for what, secret := range map[string]string{"login": login, "password": password, "token": tokens.Access, "refresh token": tokens.Refresh,
			"key": key, "signature": tokens.Access[strings.LastIndex(tokens.Access, "."):], "price": "1987654321"} {
			for line := range strings.Lines(text) {
				if strings.Contains(line, secret) {
					t.Errorf("the log of %s has a %s: %s", part, what, line)
				}
			}
		}
	}
	if strings.Contains(all["haproxy"], `"client":"127.0.0.1"`) || !strings.Contains(all["haproxy"], `"client":"127.0.0.0"`) {
		t.Error("the front door logs whole addresses, or none")
	}
}

var verified = regexp.MustCompile(`(?m)^readmodel_verify_passes_total (\S+)$`)

// awaitPasses waits until the background comparison has gone over everything so often.
func (s *stack) awaitPasses(t testing.TB, passes float64) {
	t.Helper()
	testenv.Eventually(t, patience, "the read model was compared", func() bool {
		text := s.must(t, 200, "GET", "http://"+s.replicatorAdmin+"/metrics", nil).body
		found := verified.FindSubmatch(text)
		if found == nil {
			t.Fatal("the replicator does not count its comparisons")
		}
		n, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		return n >= passes
	})
}
