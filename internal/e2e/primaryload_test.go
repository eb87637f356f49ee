package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

const (
	primaryBidders = 64
	primaryReaders = 2
	primaryRaffles = 40
	primaryRate    = 2000 // bids a second, if the machine is fast enough
	cancelEvery    = 5    // bids
)

// ownBid is an accepted bid with the position from which a read must show it, and the times from which it may be gone.
type ownBid struct {
	id        int64
	committed lsn.LSN
	asked     time.Time // when its cancellation was asked for; zero: never
	cancelled lsn.LSN   // 0: not acknowledged
}

// primaryRead is one answer of the primary.
type primaryRead struct {
	book     book
	from, to time.Time
	lsn      lsn.LSN
	least    lsn.LSN // the newest acknowledged commit when the read was asked
	ids      []int64
}

// primaryLoad bids, cancels and reads from the primary, and keeps the answers.
type primaryLoad struct {
	s       *stack
	bidders []string // their Authorization headers
	began   time.Time
	tickets atomic.Int64

	mu       sync.Mutex
	bids     map[book][]*ownBid
	last     lsn.LSN // the newest acknowledged commit
	reads    []primaryRead
	refused  int     // reads
	placed   int     // bids that were accepted
	removed  int     // cancellations that were acknowledged
	took     float64 // seconds, until the last answer
	wrong    error
	pauses   []span
	samples  []sample
	finished chan struct{}
}

func newPrimaryLoad(s *stack, bidders []string) *primaryLoad {
	return &primaryLoad{s: s, bidders: bidders, began: time.Now(), bids: make(map[book][]*ownBid), finished: make(chan struct{})}
}

// wait waits for d, or until something is wrong.
func (l *primaryLoad) wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-l.finished:
		t.Fatal(l.wrong)
	}
}

func (l *primaryLoad) start(t *testing.T) (stop func()) {
	t.Helper()
	l.began = time.Now()
	sampler := l.s.superuser(t)
	end := make(chan struct{})
	var clients sync.WaitGroup
	run := func(client func() error) {
		clients.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				if err := client(); err != nil {
					l.fail(err)
					return
				}
			}
		})
	}
	for _, authorization := range l.bidders {
		run(func() error { return l.bid(authorization, end) })
	}
	for range primaryReaders {
		run(l.read)
	}
	clients.Go(func() {
		if err := l.sampleFlush(end, sampler); err != nil {
			l.fail(err)
		}
	})
	return func() {
		close(end)
		clients.Wait()
		l.took = time.Since(l.began).Seconds()
		if l.wrong != nil {
			t.Fatal(l.wrong)
		}
	}
}

func (l *primaryLoad) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wrong == nil {
		l.wrong = err
		close(l.finished)
	}
}

// turn waits for the time of the next bid. If the machine is too slow, missed bids are not made up for.
func (l *primaryLoad) turn(end <-chan struct{}) {
	n := l.tickets.Add(1)
	at := l.began.Add(time.Duration(n) * time.Second / primaryRate)
	if late := time.Since(at); late > 0 {
		l.tickets.CompareAndSwap(n, n+int64(late*primaryRate/time.Second))
	}
	select {
	case <-time.After(time.Until(at)):
	case <-end:
	}
}

// bid places a bid and, now and then, cancels it. A refusal is no failure, because no commit is acknowledged
// while the standby is away.
func (l *primaryLoad) bid(authorization string, end <-chan struct{}) error {
	l.turn(end)
	b := book{openRaffle + rand.Int64N(primaryRaffles), 250 + 5*rand.IntN(11)}
	at, doc, err := l.write("POST", l.s.bidsURL(b.raffle), map[string]int{"size": b.size, "price": 1000 * (1 + rand.IntN(97))}, authorization)
	if err != nil || at == 0 {
		return err
	}
	own := &ownBid{id: doc.ID, committed: at}
	l.mu.Lock()
	l.bids[b] = append(l.bids[b], own)
	l.placed++
	l.told(at)
	l.mu.Unlock()
	if rand.IntN(cancelEvery) > 0 {
		return nil
	}
	l.mu.Lock()
	own.asked = time.Now()
	l.mu.Unlock()
	at, _, err = l.write("DELETE", fmt.Sprintf("%s/%d", l.s.bidsURL(b.raffle), doc.ID), nil, authorization)
	if err != nil || at == 0 {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	own.cancelled = at
	l.removed++
	l.told(at)
	return nil
}

func (l *primaryLoad) told(at lsn.LSN) {
	l.last = max(l.last, at)
}

// write returns the position of the commit, 0 if it was refused.
func (l *primaryLoad) write(method, url string, body any, authorization string) (at lsn.LSN, doc client.Bid, err error) {
	a, err := l.s.do(method, url, body, "Authorization", authorization)
	switch {
	case err != nil:
		return 0, doc, err
	case a.status == http.StatusServiceUnavailable:
		return 0, doc, nil
	case a.status == http.StatusCreated:
		err = json.Unmarshal(a.body, &doc)
	case a.status != http.StatusNoContent:
		err = fmt.Errorf("%s %s: %d %s", method, url, a.status, a.body)
	}
	if err == nil {
		at, err = positionLSN(a.header.Get("Commit-LSN"))
	}
	return at, doc, err
}

// read asks the primary for a whole list, every second time with the newest acknowledged commit as Min-LSN.
func (l *primaryLoad) read() error {
	b := book{openRaffle + rand.Int64N(primaryRaffles), 250 + 5*rand.IntN(11)}
	l.mu.Lock()
	r := primaryRead{book: b, least: l.last}
	l.mu.Unlock()
	header := []string{"Read-Path", "primary"}
	if r.least != 0 && rand.IntN(2) == 0 {
		header = append(header, "Min-LSN", "1-"+r.least.String())
	}
	r.from = time.Now()
	a, err := l.s.do("GET", l.s.lookupURL(b.raffle, fmt.Sprintf("size=%d&limit=2000", b.size)), nil, header...)
	r.to = time.Now()
	if err != nil {
		return err
	}
	if a.status == http.StatusServiceUnavailable {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refused++
		return nil
	}
	var page struct {
		Bids []client.Bid `json:"bids"`
	}
	if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK || a.header.Get("Read-Path") != "primary" {
		return fmt.Errorf("read, %v: %d %v %s %w", header, a.status, a.header, a.body, err)
	}
	if r.lsn, err = positionLSN(a.header.Get("Read-LSN")); err != nil {
		return err
	}
	if len(header) > 2 && r.lsn < r.least {
		return fmt.Errorf("read, %v: Read-LSN %s", header, r.lsn)
	}
	for _, bid := range page.Bids {
		r.ids = append(r.ids, bid.ID)
	}
	slices.Sort(r.ids)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads = append(l.reads, r)
	return nil
}

// judge compares every read with the bids that were acknowledged up to its Read-LSN.
func (l *primaryLoad) judge(t *testing.T, behind bool) {
	t.Helper()
	var ages []time.Duration
	faults, paused := 0, 0
	for _, r := range l.reads {
		ages = append(ages, l.age(r))
		if err := l.check(r); err != nil {
			if faults++; faults <= 3 {
				t.Error(err)
			}
		}
		for _, p := range l.pauses {
			// A commit that was acknowledged just before may take a moment to be visible.
			if r.from.Before(p.from.Add(300*time.Millisecond)) || r.to.After(p.to) {
				continue
			}
			if paused++; r.lsn < r.least {
				t.Errorf("Read-LSN %s while the standby is paused, acknowledged was %s", r.lsn, r.least)
			}
		}
	}
	if len(l.reads) < 20 {
		t.Fatalf("%d reads, %d refused", len(l.reads), l.refused)
	}
	slices.Sort(ages)
	p50, p99, worst := ages[len(ages)/2], ages[len(ages)*99/100], ages[len(ages)-1]
	t.Logf("%d reads (%d refused, %d while paused), %d of them wrong; %.0f bids/s and %.0f cancellations/s; age of Read-LSN p50 %v, p99 %v, worst %v",
		len(l.reads), l.refused, paused, faults, float64(l.placed)/l.took, float64(l.removed)/l.took, p50, p99, worst)
	if behind {
		if paused == 0 {
			t.Error("no read while the standby was paused")
		}
		return
	}
	// Only the long run measures. The short run is beside other tests, and it only notices a position that
	// stands still.
	oldest, refused := 2*time.Second, len(l.reads)
	if os.Getenv("PRIMARY_SECONDS") != "" {
		oldest, refused = 100*time.Millisecond, len(l.reads)/20
	}
	if p99 > oldest || l.refused > refused {
		t.Errorf("Read-LSN is %v old at p99; %d of %d reads refused", p99, l.refused, len(l.reads)+l.refused)
	}
}

func (l *primaryLoad) check(r primaryRead) error {
	for _, b := range l.bids[r.book] {
		_, there := slices.BinarySearch(r.ids, b.id)
		gone := !b.asked.IsZero() && b.asked.Before(r.to)
		switch {
		case b.committed <= r.lsn && !there && !gone:
			return fmt.Errorf("Read-LSN %s: the list of %+v lacks bid %d, Commit-LSN %s", r.lsn, r.book, b.id, b.committed)
		case there && b.cancelled != 0 && b.cancelled <= r.lsn:
			return fmt.Errorf("Read-LSN %s: the list of %+v has bid %d, cancelled with Commit-LSN %s", r.lsn, r.book, b.id, b.cancelled)
		}
	}
	return nil
}
