package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// hosts is a database whose servers change their roles.
type hosts []*testenv.Postgres

func (h hosts) URL(role string) string {
	urls := make([]string, 0, len(h))
	for _, p := range h {
		urls = append(urls, p.URL(role))
	}
	return testenv.MultiHostURL(urls...)
}

// Exec runs on the first host.
func (h hosts) Exec(t testing.TB, sql string, args ...any) { h[0].Exec(t, sql, args...) }

// bidders send bids with keys, each again until its outcome is known.
type bidders struct {
	p     *running
	token string
	stop  chan struct{}
	all   sync.WaitGroup
	keys  atomic.Int64

	mu      sync.Mutex
	placed  map[string]int64 // ids of bids by their keys
	refused map[string]int   // answers other than 201, by status and type
	last    time.Time        // of the last 201
	longest time.Duration    // between two 201s
}

func startBidders(p *running, n int) *bidders {
	b := &bidders{p: p, token: p.login(), stop: make(chan struct{}), placed: make(map[string]int64), refused: make(map[string]int), last: time.Now()}
	for range n {
		b.all.Go(b.run)
	}
	return b
}

func (b *bidders) run() {
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for {
		key := fmt.Sprint("key", b.keys.Add(1))
		for !b.send(key) {
			<-pace.C
		}
		select {
		case <-b.stop:
			return
		case <-pace.C:
		}
	}
}

func (b *bidders) send(key string) (done bool) {
	r, err := http.NewRequest(http.MethodPost, b.p.public+"/v1/raffles/1/bids", strings.NewReader(`{"size":270,"price":1000}`))
	if err != nil {
		b.p.t.Error(err)
		return true
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+b.token)
	r.Header.Set("Idempotency-Key", key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		b.p.t.Error(err)
		return true
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	var doc struct {
		ID   int64
		Type string
	}
	if err == nil {
		err = json.Unmarshal(body, &doc)
	}
	if err != nil {
		b.p.t.Errorf("%s: %v", body, err)
	}
	b.note(key, answer.StatusCode, doc.ID, doc.Type)
	return answer.StatusCode == http.StatusCreated
}

func (b *bidders) note(key string, status int, id int64, kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if status != http.StatusCreated {
		b.refused[fmt.Sprint(status, " ", kind)]++
		return
	}
	now := time.Now()
	b.placed[key], b.longest, b.last = id, max(b.longest, now.Sub(b.last)), now
}

// atLeast waits until so many more bids are placed.
func (b *bidders) atLeast(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.placed)
	}
	from := count()
	testenv.Eventually(t, 20*time.Second, "bids are placed", func() bool { return count() >= from+n })
}

// check ends the load and compares what clients were told with the primary.
func (b *bidders) check(t *testing.T, primary *testenv.Postgres) {
	t.Helper()
	close(b.stop)
	b.all.Wait()
	t.Logf("%d bids placed, other answers %v, longest pause %v", len(b.placed), b.refused, b.longest)
	if n := fixture.Count(t, primary, "SELECT count(*) FROM bids"); n != int64(len(b.placed)) {
		t.Errorf("%d bids were acknowledged, the primary has %d", len(b.placed), n)
	}
	list := make([]string, 0, len(b.placed))
	for key, id := range b.placed {
		list = append(list, fmt.Sprint(key, "/", id))
	}
	const same = "SELECT count(*) FROM bids WHERE idempotency_key || '/' || id = ANY ($1)"
	if n := fixture.Count(t, primary, same, list); n != int64(len(list)) {
		t.Errorf("%d of %d acknowledged bids are on the primary", n, len(list))
	}
}

func startPair(t *testing.T) (hosts, *running) {
	t.Helper()
	first := testenv.StartPostgres(t)
	fixture.Fill(t, first)
	standby := first.StartStandby(t)
	first.SetSynchronous(t, testenv.StandbyName)
	all := hosts{first, standby}
	return all, start(t, all)
}

// W2, W4: while a primary is closed and stopped and its standby is promoted, bids wait, and each is placed once.
func TestASwitchoverRefusesNoBid_W2_W4(t *testing.T) {
	all, p := startPair(t)
	b := startBidders(p, 60)
	b.atLeast(t, 200)
	began := time.Now()
	all[0].Configure(t, testenv.Set("default_transaction_read_only", "on"))
	all[0].Stop(t)
	<-time.After(time.Second) // a slow one
	all[1].Promote(t)
	t.Logf("the switchover took %v", time.Since(began))
	b.atLeast(t, 200)
	b.check(t, all[1])
	if len(b.refused) != 0 {
		t.Errorf("bids were refused: %v", b.refused)
	}
}

// W2: a primary that is stopped without being closed first answers statements in part. Bids with keys are asked for
// again by the service.
func TestAFastShutdownLosesNoBid_W2(t *testing.T) {
	all, p := startPair(t)
	b := startBidders(p, 30)
	b.atLeast(t, 200)
	all[0].Stop(t)
	all[1].Promote(t)
	b.atLeast(t, 200)
	b.check(t, all[1])
	if len(b.refused) != 0 {
		t.Errorf("bids were refused: %v", b.refused)
	}
}

// W1, W2: after the loss of the primary nothing is lost or doubled, and bids are taken soon after the promotion.
func TestAKilledPrimaryLosesNoBid_W1_W2(t *testing.T) {
	all, p := startPair(t)
	b := startBidders(p, 30)
	b.atLeast(t, 200)
	all[0].Kill(t)
	<-time.After(3 * time.Second) // what the failover takes to decide
	all[1].Promote(t)
	promoted := time.Now()
	b.atLeast(t, 1)
	if took := time.Since(promoted); took > 2*time.Second {
		t.Errorf("the first bid came %v after the promotion", took)
	}
	b.atLeast(t, 200)
	b.check(t, all[1])
}
