package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const (
	flushWriters = 2
	flushReaders = 4
	flushRaffles = 3
	flushEvery   = 5 * time.Millisecond // the pause of each client
)

// book is one list of bids.
type book struct {
	raffle int64
	size   int
}

func bookOf(i int) book { return book{openRaffle + int64(i%flushRaffles), 250 + 5*(i%11)} }

// seen is one answered read.
type seen struct {
	book book
	at   time.Time // when it was asked
	path string
	lsn  lsn.LSN
	ids  []int64
}

// flushLoad keeps every accepted bid with its Commit-LSN, and every read.
type flushLoad struct {
	s        *stack
	api      *client.Client // without a retry
	mu       sync.Mutex
	accepted map[book]map[int64]lsn.LSN
	last     lsn.LSN
	reads    []seen
}

func (l *flushLoad) write(i int, bidder *client.Session) error {
	b := bookOf(i)
	made, receipt, err := bidder.PlaceBid(context.Background(), b.raffle, client.NewBid{Size: b.size, Price: int64(1000 * (1 + i%97))})
	if err != nil {
		return err
	}
	at, err := positionLSN(string(receipt.Position))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.accepted[b] == nil {
		l.accepted[b] = make(map[int64]lsn.LSN)
	}
	l.accepted[b][made.ID] = at
	l.last = max(l.last, at)
	return nil
}

// read asks for a whole list. Every third time it asks with the position of the newest bid that was accepted so far.
func (l *flushLoad) read(i int) error {
	r := seen{book: bookOf(i), at: time.Now()}
	var at client.Position
	var least lsn.LSN
	if i%3 == 0 {
		l.mu.Lock()
		least = l.last
		l.mu.Unlock()
		at = client.Position(least.String())
	}
	of := client.BidFilter{Size: r.book.size, Order: []string{client.Newest, client.Highest}[i%2], Limit: 2000}
	page, err := l.api.Bids(context.Background(), r.book.raffle, of, client.AtLeast(at))
	if err != nil {
		return fmt.Errorf("read %d at %q: %w", i, at, err)
	}
	if r.lsn, err = positionLSN(string(page.Position)); err != nil {
		return err
	}
	if r.lsn < least {
		return fmt.Errorf("read %d: Read-LSN %s for Min-LSN %s", i, r.lsn, least)
	}
	r.path = page.Path
	for _, b := range page.Items {
		r.ids = append(r.ids, b.ID)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads = append(l.reads, r)
	return nil
}

// start runs the clients until stop, which returns the first error of any.
func (l *flushLoad) start(t *testing.T) (stop func() error) {
	t.Helper()
	clients := make([]func(i int) error, 0, flushWriters+flushReaders)
	for w := range flushWriters {
		bidder := l.s.session(t, fmt.Sprintf("user%d", w+1), client.WithAttempts(1))
		clients = append(clients, func(i int) error { return l.write(i, bidder) })
	}
	for range flushReaders {
		clients = append(clients, l.read)
	}
	end := make(chan struct{})
	errs := make(chan error, len(clients))
	for n, one := range clients {
		go func() {
			pause := time.NewTicker(flushEvery)
			defer pause.Stop()
			for i := n; ; i += 7 {
				select {
				case <-end:
					errs <- nil
					return
				case <-pause.C:
				}
				if err := one(i); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	return func() (first error) {
		close(end)
		for range clients {
			if err := <-errs; first == nil {
				first = err
			}
		}
		return first
	}
}

// pathSince returns the time from a moment to the first read that the given path answered.
func (l *flushLoad) pathSince(moment time.Time, path string) (after time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.reads {
		if d := r.at.Sub(moment); d > 0 && r.path == path && (!ok || d < after) {
			after, ok = d, true
		}
	}
	return after, ok
}

// fromRedis counts the reads since a moment that Redis answered.
func (l *flushLoad) fromRedis(since time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.reads {
		if r.at.After(since) && r.path == "redis" {
			n++
		}
	}
	return n
}

// R1, R2, R6, P3: Redis is flushed under load, three times. No read fails, lacks a bid that it must hold, or
// has a bid that does not exist. The reads leave Redis and return to it by themselves.
func TestFlushedRedisUnderLoadIsNeverWrong_R1_R2_R6_P3(t *testing.T) {
	s := startStack(t)
	testenv.EventuallyNoError(t, 30*time.Second, "the standby has shown a heartbeat of this run of the primary", func() error {
		a, err := s.do("GET", s.lookupURL(openRaffle, "size=270"), nil, "Read-Path", "replica")
		if err != nil || a.status != http.StatusOK {
			return fmt.Errorf("%d %s %w", a.status, a.body, err)
		}
		return nil
	})
	l := &flushLoad{s: s, api: s.api(t, client.WithAttempts(1)), accepted: make(map[book]map[int64]lsn.LSN)}
	stop := l.start(t)
	for range 3 {
		before := time.Now()
		testenv.Eventually(t, 30*time.Second, "Redis answers", func() bool { return l.fromRedis(before) > 200 })
		s.flushRedis(t)
		flushed := time.Now()
		testenv.Eventually(t, time.Second, "the replica answers", func() bool { _, ok := l.pathSince(flushed, "replica"); return ok })
		left, _ := l.pathSince(flushed, "replica")
		testenv.Eventually(t, 30*time.Second, "Redis answers again", func() bool { _, ok := l.pathSince(flushed.Add(left), "redis"); return ok })
		back, _ := l.pathSince(flushed.Add(left), "redis")
		t.Logf("the first read from the replica %v after the flush, from Redis again %v after it", left.Round(time.Millisecond), (left + back).Round(time.Millisecond))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	l.judge(t)
}

func (s *stack) flushRedis(t *testing.T) {
	t.Helper()
	conn := redis.NewClient(&redis.Options{Addr: s.redis.Addr()})
	if err := errors.Join(conn.FlushAll(t.Context()).Err(), conn.Close()); err != nil {
		t.Fatal(err)
	}
}

// judge compares every read with the bids that were accepted up to its Read-LSN, and with the rows in the end.
// No bid was cancelled, so a list only grows.
func (l *flushLoad) judge(t *testing.T) {
	t.Helper()
	stored := l.s.stored(t, flushRaffles)
	paths := make(map[string]int)
	for _, r := range l.reads {
		paths[r.path]++
		has := make(map[int64]bool, len(r.ids))
		for _, id := range r.ids {
			if has[id] || !stored[id] {
				t.Fatalf("%+v from %s at %s: bid %d is there twice or not in Postgres", r.book, r.path, r.lsn, id)
			}
			has[id] = true
		}
		for id, lsn := range l.accepted[r.book] {
			if lsn <= r.lsn && !has[id] {
				t.Fatalf("%+v from %s at %s lacks bid %d, accepted with Commit-LSN %s", r.book, r.path, r.lsn, id, lsn)
			}
		}
	}
	t.Logf("%d reads, none wrong, by path: %v; %d bids", len(l.reads), paths, len(stored))
}
