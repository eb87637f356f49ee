package abuse

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

	"github.com/HdrHistogram/hdrhistogram-go"
)

// steadyAddresses are those of well-behaved clients.
const (
	steadyAddresses = 16
	steadyUsers     = 64
	inFlight        = 400 // bound of the generator: with more, requests would queue in it
)

// steady is the load of well-behaved clients: bids and lookups at fixed rates, whatever became of the requests
// before.
type steady struct {
	stack   *stack
	clients []*http.Client
	tokens  []string
	bids    int // a second
	lookups int

	mu    sync.Mutex
	took  *hdrhistogram.Histogram // microseconds from the intended start
	bad   map[string]int
	late  map[string]int // requests that took over lateAfter, by method and second
	begun time.Time
	acked []int64
	sent  int
}

// lateAfter is the latency from which a request is noted with its second, so that a short stall can be told
// from a slow system.
const lateAfter = 50 * time.Millisecond

func newSteady(t testing.TB, s *stack, bids, lookups int) *steady {
	t.Helper()
	l := &steady{stack: s, bids: bids, lookups: lookups}
	for i := range steadyAddresses {
		l.clients = append(l.clients, clientFrom(fmt.Sprintf("127.0.1.%d", i+1), 40))
	}
	l.tokens = make([]string, steadyUsers)
	for i := range l.tokens {
		l.tokens[i] = s.login(t, l.clients[i%steadyAddresses], i+1)
	}
	l.reset()
	return l
}

func (l *steady) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took, l.bad, l.late, l.sent, l.begun = hdrhistogram.New(1, 60_000_000, 3), map[string]int{}, map[string]int{}, 0, time.Now()
}

// run loads until stop is closed, and waits for the last answers.
func (l *steady) run(stop <-chan struct{}) {
	var work sync.WaitGroup
	places := make(chan struct{}, inFlight)
	var n atomic.Int64
	every := time.Second / time.Duration(l.bids+l.lookups)
	next := time.Now()
	for {
		select {
		case <-stop:
			work.Wait()
			return
		case <-time.After(time.Until(next)):
		}
		places <- struct{}{}
		intended, i := next, n.Add(1)
		next = next.Add(every)
		work.Go(func() {
			defer func() { <-places }()
			l.one(i, intended)
		})
	}
}

// one sends the request with a number. Bids are spread evenly among lookups.
func (l *steady) one(i int64, intended time.Time) {
	client := l.clients[i%steadyAddresses]
	share := int64(l.bids + l.lookups)
	if i*int64(l.bids)/share != (i-1)*int64(l.bids)/share {
		bid := fmt.Sprintf(`{"size":%d,"price":%d}`, 250+5*(i%11), 1000+i)
		l.do(client, http.StatusCreated, "POST", fmt.Sprintf("/v1/raffles/%d/bids", openRaffle+i%40), bid, intended,
			"Authorization", l.tokens[i/2%steadyUsers], "Content-Type", "application/json", "Idempotency-Key", fmt.Sprintf("steady-%d-%d", time.Now().UnixNano(), i))
		return
	}
	l.do(client, http.StatusOK, "GET", fmt.Sprintf("/v1/raffles/%d/bids?size=%d", openRaffle+i%40, 250+5*(i%11)), "", intended)
}

func (l *steady) do(c *http.Client, want int, method, path, body string, intended time.Time, header ...string) {
	r, err := http.NewRequest(method, l.stack.url+path, strings.NewReader(body))
	if err != nil {
		l.record(method, err.Error(), intended)
		return
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w, err := c.Do(r)
	if err != nil {
		l.record(method, err.Error(), intended)
		return
	}
	text, err := io.ReadAll(w.Body)
	_ = w.Body.Close() // it was read
	switch {
	case err != nil:
		l.record(method, err.Error(), intended)
	case w.StatusCode != want:
		l.record(method, fmt.Sprintf("%d %s", w.StatusCode, detail(text)), intended)
	default:
		l.record(method, "", intended)
		if want == http.StatusCreated {
			l.acknowledge(text)
		}
	}
}

func detail(body []byte) string {
	var p struct{ Detail string }
	_ = json.Unmarshal(body, &p) // the status is enough
	return p.Detail
}

func (l *steady) record(method, bad string, intended time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	took := time.Since(intended)
	_ = l.took.RecordValue(max(1, took.Microseconds())) // a longer time than a minute is also counted as an error
	if took > lateAfter {
		l.late[fmt.Sprintf("%s at %ds", method, int(intended.Sub(l.begun).Seconds()))]++
	}
	if bad != "" {
		l.bad[method+": "+bad]++
	}
}

func (l *steady) acknowledge(body []byte) {
	var bid struct{ ID int64 }
	if json.Unmarshal(body, &bid) == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.acked = append(l.acked, bid.ID)
	}
}

// during runs the load beside an abuse and returns the load's result.
func (l *steady) during(abuse func()) result {
	l.reset()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		l.run(stop)
	}()
	abuse()
	close(stop)
	<-done
	l.mu.Lock()
	defer l.mu.Unlock()
	r := result{sent: l.sent, p50: l.quantile(50), p99: l.quantile(99), bad: l.bad, late: l.late}
	for what, n := range l.bad {
		r.errors += n
		if strings.HasPrefix(what, http.MethodPost) {
			r.bidErrors += n
		}
	}
	return r
}

func (l *steady) quantile(q float64) time.Duration {
	return time.Duration(l.took.ValueAtQuantile(q)) * time.Microsecond
}

// result is the outcome of the steady load.
type result struct {
	sent, errors int
	bidErrors    int // of the errors
	p50, p99     time.Duration
	bad, late    map[string]int
}
