package test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stock-pyramid/stock-pyramid/internal/clienthistory"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// clients bid and cancel through command and read through query, on raffles of their own. Their requests and answers
// are recorded and judged without the oracle.
type clients struct {
	command string // URL
	readers *readers

	// working is locked for reading during each action, and for writing while the clients rest.
	working  sync.RWMutex
	resting  bool
	recorder *clienthistory.Recorder
	forks    int          // forks of the primary's line, in all histories
	left     lsn.LSN      // where the line was left last
	price    atomic.Int32 // of the newest bid; no two bids have the same

	refused atomic.Int64 // writes without an answer that they were done
	writes  int
	reads   int
}

// clientLists are the lists to which the clients write. Apart from the clients only a truncation, which is recorded,
// changes their bids.
var clientLists = []clienthistory.List{{Raffle: raffles + 1, Size: 260}, {Raffle: raffles + 2, Size: 265}}

// clientEvery is the pause between two actions of a client.
const clientEvery = 24 * time.Millisecond

// startClients starts command and n clients. The clients rest until a history begins.
func (w *worker) startClients(n int, primaryURL string) *clients {
	t := w.t // the worker's, not a history's
	t.Helper()
	public, admin := testenv.FreePort(t), testenv.FreePort(t)
	testenv.StartProcess(t, testenv.Process{Path: testenv.Binary(t, "./command"), Env: []string{
		fmt.Sprintf("LISTEN_ADDR=127.0.0.1:%d", public), fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", admin),
		"PRIMARY_URL=" + primaryURL, "JWT_KEYS_DIR=" + t.TempDir(), "LOG_LEVEL=error"},
		Ready: fmt.Sprintf("http://127.0.0.1:%d/readyz", admin)})
	c := &clients{command: fmt.Sprintf("http://127.0.0.1:%d", public), readers: w.readers}
	c.rest()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	for i := range n {
		one := &client{clients: c, number: i, random: rand.New(rand.NewPCG(uint64(i), 2)), flushed: &sampler{url: w.readers.primary}}
		one.login(t)
		done.Go(func() { one.run(ctx, t) })
	}
	t.Cleanup(func() {
		cancel()
		if c.resting { // a history that failed may have ended while they rest
			c.goOn()
		}
		done.Wait()
	})
	return c
}

// begin lets the clients work. Their lists must be empty at the position.
func (c *clients) begin(at lsn.LSN) {
	c.recorder = clienthistory.NewRecorder(at)
	c.goOn()
}

// rest waits until no client has an open request, and holds the clients back from the next.
func (c *clients) rest() {
	c.working.Lock()
	c.resting = true
}

// goOn lets the resting clients work again.
func (c *clients) goOn() {
	c.resting = false
	c.working.Unlock()
}

// fork puts the resting clients on another line of the primary, which begins at the position.
func (c *clients) fork(at lsn.LSN) {
	c.recorder.Fork(at)
	c.forks, c.left = c.forks+1, at
}

// judge fails if no order of the writes explains what the resting clients have read.
func (c *clients) judge() error {
	writes, reads := c.recorder.Counts()
	c.writes, c.reads = c.writes+writes, c.reads+reads
	return c.recorder.Check()
}

// client is one of the clients.
type client struct {
	*clients
	number  int
	random  *rand.Rand
	token   string
	bids    []placed
	last    [2]lsn.Position // Commit-LSN and Read-LSN
	history *clienthistory.Recorder
	line    int // the number of forks that it knows
	flushed *sampler
}

type placed struct {
	list  clienthistory.List
	price int32
	id    int64
	at    lsn.LSN // its commit
}

func (c *client) run(ctx context.Context, t testing.TB) {
	tick := time.NewTicker(clientEvery)
	defer tick.Stop()
	defer c.flushed.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.working.RLock()
		var err error
		if ctx.Err() == nil {
			err = c.act(ctx)
		}
		c.working.RUnlock()
		if err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
	}
}

func (c *client) act(ctx context.Context) error {
	if c.history != c.recorder { // a new history has begun
		c.history, c.bids, c.last = c.recorder, nil, [2]lsn.Position{}
	}
	if c.line != c.forks { // another bid may have the id of a lost one
		c.line = c.forks
		c.bids = slices.DeleteFunc(c.bids, func(p placed) bool { return p.at > c.left })
	}
	switch n := c.random.IntN(10); {
	case n < 3 || n < 5 && len(c.bids) == 0:
		return c.bid()
	case n < 5:
		return c.cancel()
	}
	return c.look(ctx)
}

// bid places a bid. If it gets no answer it retries with the same idempotency key, as a client should.
func (c *client) bid() error {
	p := placed{list: clientLists[c.random.IntN(len(clientLists))], price: c.price.Add(1)}
	key := uuid.NewString()
	clears, call := c.recorder.Clears(), c.recorder.Add(c.number, p.list, p.price)
	// A truncation may remove the bid of the first attempt together with its key. Then the second attempt places the
	// bid again.
	repeated := func() {
		if c.recorder.Clears() != clears {
			call.Again().Lost()
		}
	}
	for attempt := range 2 {
		status, at, answer := c.send(http.MethodPost, fmt.Sprintf("/v1/raffles/%d/bids", p.list.Raffle), key,
			map[string]any{"size": p.list.Size, "price": p.price})
		switch {
		case status == http.StatusCreated:
			var b bidDocument
			if err := json.Unmarshal(answer, &b); err != nil {
				return err
			}
			if attempt > 0 {
				repeated()
			}
			call.Done(at.LSN)
			p.id, p.at = b.ID, at.LSN
			c.bids = append(c.bids, p)
			c.last[0] = at
			return nil
		case status != 0 && status < 500:
			return fmt.Errorf("bid: %d %s", status, answer)
		}
	}
	c.refused.Add(1)
	repeated()
	call.Lost()
	return nil
}

func (c *client) cancel() error {
	i := c.random.IntN(len(c.bids))
	p := c.bids[i]
	c.bids = slices.Delete(c.bids, i, i+1)
	call := c.recorder.Remove(c.number, p.list, p.price)
	status, at, answer := c.send(http.MethodDelete, fmt.Sprintf("/v1/raffles/%d/bids/%d", p.list.Raffle, p.id), "", nil)
	switch {
	case status == http.StatusNoContent:
		call.Done(at.LSN)
		c.last[0] = at
	case status == 0 || status >= 500 || status == http.StatusNotFound: // the bid was truncated, or lost with a line
		call.Lost()
	default:
		return fmt.Errorf("cancel: %d %s", status, answer)
	}
	return nil
}

// look reads a list in any state, with the client's own writes, or in no older state than before.
func (c *client) look(ctx context.Context) error {
	l := clientLists[c.random.IntN(len(clientLists))]
	a := &answer{body: body{list: list{l.Raffle, l.Size}}, forced: c.readers.paths[c.random.IntN(len(c.readers.paths))]}
	if n := c.random.IntN(3); n < 2 {
		a.min = c.last[n]
	}
	call := c.recorder.Read(c.number, l, a.min.LSN)
	if err := c.readers.read(ctx, a, c.flushed); err != nil {
		return err
	}
	switch a.status {
	case http.StatusOK:
	case http.StatusServiceUnavailable:
		return nil
	default: // the position is of a lost line
		c.last = [2]lsn.Position{}
		return nil
	}
	var page struct{ Bids []bidDocument }
	if err := json.Unmarshal(a.text, &page); err != nil {
		return err
	}
	var prices []int32
	for _, b := range page.Bids {
		prices = append(prices, int32(b.Price))
	}
	if a.path == "primary" {
		call.ShownInPart(a.at.LSN, a.upTo, prices...)
	} else {
		call.Shown(a.at.LSN, a.upTo, prices...)
	}
	c.last[1] = a.at
	return nil
}
