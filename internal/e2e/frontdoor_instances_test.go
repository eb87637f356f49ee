package e2e

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// pair is the front door before two instances of each service.
type pair struct {
	door
	commands, queries [2]*stub
	metrics           string // the URL of HAProxy's metrics
}

func openPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{}
	for i, name := range []string{"first", "second"} {
		p.commands[i], p.queries[i] = startStub(t, name), startStub(t, name)
	}
	p.haproxy, p.url, p.metrics = testenv.StartFrontDoor(t, testenv.FrontDoor{
		Command: instances(p.commands[:]...), Query: instances(p.queries[:]...)})
	return p
}

const aBid = "/v1/raffles/7/bids"

// bids sends n bids and returns how many each instance took.
func (p *pair) bids(t testing.TB, n int) map[string]int {
	t.Helper()
	took := map[string]int{}
	for range n {
		w, body := p.ask(t, "POST", aBid, nil)
		if w.StatusCode != http.StatusOK {
			t.Errorf("a bid: %d %s", w.StatusCode, body)
		}
		took[w.Header.Get("Service")]++
	}
	return took
}

// exported are HAProxy's metrics.
func (p *pair) exported(t testing.TB) string {
	t.Helper()
	w, err := http.Get(p.metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBidsGoOnWithoutOneInstance(t *testing.T) {
	p := openPair(t)
	if took := p.bids(t, 20); took["first"] != 10 || took["second"] != 10 {
		t.Errorf("two instances took %v", took)
	}
	p.commands[0].close(t)
	p.queries[1].close(t)
	// HAProxy would answer a bid that it sends over a connection that has just been closed with "perhaps done".
	testenv.Eventually(t, patience, "HAProxy has seen that the connections of the first are closed", func() bool {
		return strings.Contains(p.exported(t), `haproxy_server_idle_connections_current{proxy="bids",server="command1"} 0`+"\n")
	})
	if took := p.bids(t, 40); took["second"] != 40 {
		t.Errorf("without the first: %v", took)
	}
	for range 20 {
		if w, _ := p.ask(t, "GET", aBid, nil); w.StatusCode != http.StatusOK || w.Header.Get("Service") != "first" {
			t.Errorf("a read: %d of %q", w.StatusCode, w.Header.Get("Service"))
		}
	}
}

// A read that an instance has no place for is sent to the other one. A bid is not, because it may have been placed. If both
// are busy, the client gets the answer of one of them.
func TestABusyInstanceFailsNoRead(t *testing.T) {
	p := openPair(t)
	p.queries[0].busy.Store(true)
	p.commands[0].busy.Store(true)
	refused := 0
	for range 20 {
		if w, _ := p.ask(t, "GET", aBid, nil); w.StatusCode != http.StatusOK || w.Header.Get("Service") != "second" {
			t.Errorf("a read: %d of %q", w.StatusCode, w.Header.Get("Service"))
		}
		if w, _ := p.ask(t, "POST", aBid, nil); w.StatusCode == http.StatusServiceUnavailable && w.Header.Get("Service") == "first" {
			refused++
		}
	}
	if refused != 10 {
		t.Errorf("%d of 20 bids were refused", refused)
	}
	p.queries[1].busy.Store(true)
	before := p.queries[0].asked.Load() + p.queries[1].asked.Load()
	if w, _ := p.ask(t, "GET", aBid, nil); w.StatusCode != http.StatusServiceUnavailable || w.Header.Get("Service") == "" {
		t.Errorf("both are busy: %d of %q", w.StatusCode, w.Header.Get("Service"))
	}
	if asked := p.queries[0].asked.Load() + p.queries[1].asked.Load() - before; asked > 3 {
		t.Errorf("a read was tried %d times", asked)
	}
}

// An instance that is no longer ready gets nothing new within the time that it waits, and ends what it has.
func TestADrainingInstanceGetsNothingNew(t *testing.T) {
	p := openPair(t)
	hanging := make(chan int)
	for range 2 {
		go func() {
			r, err := http.NewRequest(http.MethodPost, p.url+aBid, nil)
			if err != nil {
				hanging <- 0
				return
			}
			r.Header.Set("Do", "hang")
			w, err := http.DefaultClient.Do(r)
			if err != nil {
				hanging <- 0
				return
			}
			_ = w.Body.Close()
			hanging <- w.StatusCode
		}()
	}
	draining := p.commands[0]
	testenv.Eventually(t, patience, "one bid is with each", func() bool {
		return draining.asked.Load() == 1 && p.commands[1].asked.Load() == 1
	})
	draining.ready.Store(false)
	start := time.Now()
	testenv.Eventually(t, patience, "eight bids in turn go to the other instance", func() bool { return p.bids(t, 8)["second"] == 8 })
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a draining instance gets bids for %v", took)
	}
	if took := p.bids(t, 20); took["second"] != 20 {
		t.Errorf("later: %v", took)
	}
	for _, s := range p.commands {
		s.hang <- struct{}{}
		if status := <-hanging; status != http.StatusOK {
			t.Errorf("a bid under way: %d", status)
		}
	}
	draining.ready.Store(true)
	testenv.Eventually(t, patience, "the instance gets bids again", func() bool { return p.bids(t, 2)["first"] == 1 })
}

// The answer to the handshake names the session, and its polls go to the instance that gave the answer.
func TestPollsOfASessionReachItsInstance(t *testing.T) {
	p := openPair(t)
	owner := map[string]string{}
	for range 6 {
		w, _ := p.ask(t, "GET", "/socket.io/?EIO=4&transport=polling", nil)
		owner[w.Header.Get("X-Session-Id")] = w.Header.Get("Service")
	}
	poll := func() {
		t.Helper()
		for id, name := range owner {
			for _, method := range []string{"GET", "POST"} {
				if w, _ := p.ask(t, method, "/socket.io/?EIO=4&transport=polling&sid="+id, nil); w.Header.Get("Service") != name {
					t.Errorf("%s of a session of %s: %d of %q", method, name, w.StatusCode, w.Header.Get("Service"))
				}
			}
		}
	}
	if len(owner) != 6 {
		t.Fatalf("sessions: %v", owner)
	}
	for range 3 {
		poll()
	}
}

func TestAllInstancesDown(t *testing.T) {
	p := openPair(t)
	for i := range p.commands {
		p.commands[i].close(t)
		p.queries[i].close(t)
	}
	for _, method := range []string{"GET", "POST"} {
		w, body := p.ask(t, method, aBid, nil)
		holdToProblem(t, w, body, http.StatusServiceUnavailable, aBid)
		if w.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: Retry-After %q", method, w.Header.Get("Retry-After"))
		}
	}
}

// A reload of the front door under load drops no request.
func TestAReloadDropsNothing(t *testing.T) {
	p := openPair(t)
	var wait sync.WaitGroup
	var end atomic.Bool
	var sent atomic.Int64
	for range 4 {
		wait.Go(func() {
			for !end.Load() {
				p.bids(t, 1)
				sent.Add(1)
			}
		})
	}
	enough := func(n int64) {
		t.Helper()
		testenv.Eventually(t, patience, "bids are sent", func() bool { return sent.Load() >= n })
	}
	enough(100)
	p.haproxy.Reload(t)
	enough(sent.Load() + 200)
	end.Store(true)
	wait.Wait()
}
