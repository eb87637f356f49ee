package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// forkPatience is how long the services may take to follow a primary, on a busy machine.
const forkPatience = 60 * time.Second

// startNodes starts the services over a primary and a standby. Each service knows both, the primary first.
func startNodes(t *testing.T) (s *stack, authorization string) {
	t.Helper()
	s = &stack{primary: testenv.StartPostgres(t), redis: testenv.StartRedis(t)}
	s.seed(t)
	s.standby = s.primary.StartStandby(t)
	s.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(s.client.CloseIdleConnections)
	both := func(role string) string { return testenv.MultiHostURL(s.primary.URL(role), s.standby.URL(role)) }
	s.command, s.commandURL, s.commandAdmin = startService(t, "command", "PRIMARY_URL="+both("command"), "LOGIN_CORES=2", "JWT_KEYS_DIR="+t.TempDir())
	s.replicator, _, _ = startService(t, "replicator", "PRIMARY_URL="+both("replicator"), "REDIS_URL="+s.redis.URL())
	s.query, s.queryURL, s.queryAdmin = startService(t, "query", testenv.Unlimited, "PRIMARY_URL="+both("query"), "REPLICA_URL="+s.standby.URL("query"),
		"STANDBY_URL="+testenv.MultiHostURL(s.standby.URL("query"), s.primary.URL("query")), "REDIS_URL="+s.redis.URL(), "ALLOW_READ_PATH=true")
	return s, s.login(t, "user1")
}

// forkSize is a size that only these tests bid on, each bid with a price of its own.
const forkSize = 333

// forks bids and reads its bids back.
type forks struct {
	s             *stack
	authorization string
	price         int
	lost          map[string]bool // prices that no answer may hold
}

// bid bids until it is accepted, and returns its price as JSON and its position.
func (f *forks) bid(t *testing.T) (price string, at lsn.Position) {
	t.Helper()
	f.price++
	var a answer
	testenv.EventuallyNoError(t, forkPatience, "a bid is accepted", func() (err error) {
		a, err = f.s.do("POST", f.s.bidsURL(openRaffle), map[string]int{"size": forkSize, "price": f.price},
			"Authorization", f.authorization, "Idempotency-Key", fmt.Sprint("fork-", f.price))
		if err == nil && a.status != http.StatusCreated {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		return err
	})
	at, err := lsn.ParsePosition(a.header.Get("Commit-LSN"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`"price":%d,`, f.price), at
}

// read reads with a Min-LSN until it is answered. The answer must hold the price and no lost price.
func (f *forks) read(t *testing.T, price string, least lsn.Position, header ...string) (path string) {
	t.Helper()
	var a answer
	testenv.EventuallyNoError(t, forkPatience, "a read is answered", func() (err error) {
		a, err = f.s.do("GET", f.s.lookupURL(openRaffle, fmt.Sprintf("size=%d&limit=2000", forkSize)), nil, append(header, "Min-LSN", least.String())...)
		if err == nil && a.status == http.StatusServiceUnavailable {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		return err
	})
	path = a.header.Get("Read-Path")
	if a.status != http.StatusOK || !strings.Contains(string(a.body), price) {
		t.Fatalf("R2: Min-LSN %s: %d from %q at %s lacks %s: %.300s", least, a.status, path, a.header.Get("Read-LSN"), price, a.body)
	}
	for one := range f.lost {
		if strings.Contains(string(a.body), one) {
			t.Fatalf("P10: %q at %s shows %s of a lost history", path, a.header.Get("Read-LSN"), one)
		}
	}
	return path
}

// R2, R7, P10: the primary freezes and its standby is promoted; positions of both timelines are good on every
// path. When the old primary runs again, nobody follows it.
func TestAPromotion_R2_R7_P10(t *testing.T) {
	s, authorization := startNodes(t)
	f := &forks{s: s, authorization: authorization}
	old, before := f.bid(t)
	f.read(t, old, before)
	s.standby.WaitReplay(t)
	s.primary.Pause(t)
	f.read(t, old, before) // while no primary answers
	promoted := time.Now()
	s.standby.Promote(t)
	price, at := f.bid(t)
	t.Logf("a bid is accepted %v after the promotion, at %s", time.Since(promoted).Round(time.Millisecond), at)
	f.read(t, price, at)
	testenv.Eventually(t, forkPatience, "Redis follows", func() bool { return f.read(t, price, at) == "redis" })
	t.Logf("Redis answers %v after the promotion", time.Since(promoted).Round(time.Millisecond))
	before.Timeline = 1
	for _, path := range []string{"redis", "standby", "primary"} {
		f.read(t, old, before, "Read-Path", path)
	}
	s.primary.Resume(t)
	for range 20 {
		price, at = f.bid(t)
		f.read(t, price, at)
		f.read(t, price, at, "Read-Path", "primary")
	}
}

// R2, P10: the primary is replaced by an older copy of itself and grows past its former position, while all
// other servers stay as they were. No read of the new history shows the lost one, and Redis follows by itself.
func TestARestore_R2_P10(t *testing.T) {
	s, authorization := startNodes(t)
	f := &forks{s: s, authorization: authorization, lost: map[string]bool{}}
	price, at := f.bid(t)
	f.read(t, price, at)
	backup := s.primary.Backup(t)
	lost := map[string]bool{}
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); { // some heartbeats
		price, at = f.bid(t)
		lost[price] = true
	}
	f.read(t, price, at, "Read-Path", "redis")
	s.standby.WaitReplay(t)
	s.primary.Kill(t)
	s.primary.Restore(t, backup)
	f.lost = lost
	s.primary.Start(t)
	restored := time.Now()
	paths := map[string]int{}
	testenv.Eventually(t, forkPatience, "Redis follows", func() bool {
		price, at = f.bid(t)
		path := f.read(t, price, at)
		paths[path]++
		return path == "redis"
	})
	t.Logf("Redis answers %v after the restore; answers by path: %v", time.Since(restored).Round(time.Millisecond), paths)
}
