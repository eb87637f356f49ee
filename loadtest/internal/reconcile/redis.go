package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/frontdoor"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const (
	pageSize    = 2000 // bids in one answer: the API's limit
	readers     = 8
	pollEvery   = 200 * time.Millisecond
	readRetries = 50
)

// errBusy: the forced path is behind or has no room at the moment.
var errBusy = errors.New("503")

// fromRedis reads what Redis must answer, at lsn or later.
func fromRedis(ctx context.Context, door *frontdoor.Client, target, lsn string, into any) (lag string, err error) {
	a, err := door.Do(ctx, http.MethodGet, target, nil, "Read-Path", "redis", "Min-LSN", lsn)
	switch {
	case err != nil:
		return "", err
	case a.Status == http.StatusServiceUnavailable:
		return "", fmt.Errorf("GET %s from redis: %w %s", target, errBusy, a.Body)
	case a.Status != http.StatusOK:
		return "", fmt.Errorf("GET %s from redis: status %d %s", target, a.Status, a.Body)
	case a.Header.Get("Read-Path") != "redis":
		return "", fmt.Errorf("GET %s: %q answered instead of redis (set ALLOW_READ_PATH=true)", target, a.Header.Get("Read-Path"))
	}
	return a.Header.Get("Read-Lag-Ms"), json.Unmarshal(a.Body, into)
}

// await returns once Redis has reached the position and says that it has no lag.
func await(ctx context.Context, door *frontdoor.Client, set Set, lsn string) error {
	for {
		lag, err := fromRedis(ctx, door, fmt.Sprintf("/v1/raffles/%d/bids?size=%d&limit=1", set.Raffle, set.Size), lsn, new(page))
		if err == nil && lag == "0" || err != nil && !errors.Is(err, errBusy) {
			return err
		}
		if ended := sleep.For(ctx, pollEvery); ended != nil {
			return fmt.Errorf("redis did not reach %s: %w", lsn, errors.Join(ended, err))
		}
	}
}

type page struct {
	Bids []shown `json:"bids"`
	Next string  `json:"next_cursor"`
}

// details are a raffle as the API shows it.
type details struct {
	Sizes []struct {
		Size    int16 `json:"size"`
		Count   int64 `json:"count"`
		Highest int64 `json:"highest"`
	} `json:"sizes"`
}

// Redis compares the ledger with what the read API answers from Redis, once Redis has reached lsn and has no
// lag: every raffle and size that may have a bid of the run, in both orders, and the counts and highest prices of their
// raffles. Postgres must have been called before, because its rows tell which bids may be there, and what they hold.
func (l *Ledger) Redis(ctx context.Context, door *frontdoor.Client, lsn string, progress Progress) report.Reconciliation {
	r := l.start("Redis")
	start := time.Now()
	sets := l.Sets()
	if len(sets) == 0 {
		return r
	}
	progress("wait for Redis", 0, 0)
	err := await(ctx, door, sets[0], lsn)
	r.Waited = time.Since(start)
	progress("wait for Redis", 1, 0)
	for i := range l.rows { // of an earlier comparison
		l.rows[i].redis = [orders]bool{}
	}
	copied := &copied{ledger: l, result: &r, door: door, lsn: lsn}
	if err == nil {
		err = copied.readAll(ctx, sets, progress)
	}
	if err != nil {
		r.Problem = err.Error()
	} else {
		copied.summarize()
	}
	r.Took = time.Since(start) - r.Waited
	return r
}

// copied is the record of the bids found in Redis.
type copied struct {
	ledger *Ledger
	door   *frontdoor.Client
	lsn    string

	mu     sync.Mutex
	result *report.Reconciliation
	done   int64
}

func (c *copied) readAll(ctx context.Context, sets []Set, progress Progress) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	progress("sets in Redis", 0, int64(len(sets)))
	for raffle, sizes := range raffles(sets) {
		group.Go(func() error {
			if err := c.readRaffle(ctx, raffle, sizes); err != nil {
				return err
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.done += int64(len(sizes))
			progress("sets in Redis", c.done, int64(len(sets)))
			return nil
		})
	}
	return group.Wait()
}

// raffles are the sizes of each raffle.
func raffles(sets []Set) map[uint32][]int16 {
	all := make(map[uint32][]int16)
	for _, s := range sets {
		all[s.Raffle] = append(all[s.Raffle], s.Size)
	}
	return all
}

// readRaffle reads sets of a raffle, and holds what the raffle says of them against them.
func (c *copied) readRaffle(ctx context.Context, raffle uint32, sizes []int16) error {
	var d details
	target := fmt.Sprintf("/v1/raffles/%d", raffle)
	if err := patient(ctx, func() error { _, err := fromRedis(ctx, c.door, target, c.lsn, &d); return err }); err != nil {
		return err
	}
	for _, size := range sizes {
		newest, highest := &walk{order: Newest, set: Set{raffle, size}}, &walk{order: Highest, set: Set{raffle, size}}
		for _, w := range []*walk{newest, highest} {
			if err := c.readSet(ctx, w); err != nil {
				return err
			}
		}
		said := [2]int64{}
		for _, s := range d.Sizes {
			if s.Size == size {
				said = [2]int64{s.Count, s.Highest}
			}
		}
		if has := [2]int64{highest.bids, highest.first.Price}; said != has {
			c.misplaced("raffle %d says that size %d has %d bids up to %d, but its set has %d up to %d", raffle, size, said[0], said[1], has[0], has[1])
		}
	}
	return nil
}

func (c *copied) misplaced(format string, values ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.Misplaced++
	c.result.Differences = few(c.result.Differences, fmt.Sprintf(format, values...))
}

// readSet reads a set page by page. Newest first, it ends with the page whose last bid is from before the run, because all
// bids that follow are older still. Highest first, it has no such end.
func (c *copied) readSet(ctx context.Context, w *walk) error {
	path := fmt.Sprintf("/v1/raffles/%d/bids?size=%d&order=%s&limit=%d", w.set.Raffle, w.set.Size, w.order, pageSize)
	for cursor := ""; ; {
		var p page
		target := path
		if cursor != "" {
			target += "&cursor=" + url.QueryEscape(cursor)
		}
		if err := patient(ctx, func() error { _, err := fromRedis(ctx, c.door, target, c.lsn, &p); return err }); err != nil {
			return err
		}
		for _, b := range p.Bids {
			if !w.next(b) {
				c.misplaced("bid %d of raffle %d and size %d is out of its place in the order %s", b.ID, w.set.Raffle, w.set.Size, w.order)
			}
		}
		c.enter(w.order, p)
		if p.Next == "" || len(p.Bids) == 0 || w.order == Newest && w.last.ID <= c.ledger.after {
			return nil
		}
		cursor = p.Next
	}
}

// patient repeats a read that had no room.
func patient(ctx context.Context, read func() error) error {
	for try := 0; ; try++ {
		err := read()
		if !errors.Is(err, errBusy) || try == readRetries {
			return err
		}
		if err := sleep.For(ctx, pollEvery); err != nil {
			return err
		}
	}
}

func (c *copied) enter(o Order, p page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range p.Bids {
		f := c.ledger.rows.at(b.ID - c.ledger.after)
		if f == nil {
			continue
		}
		if f.redis[o] {
			c.result.Doubled++
			continue
		}
		f.redis[o] = true
		switch f.print {
		case b.row().print():
		case 0:
			c.result.Unexpected++
		default:
			c.result.Altered++
			c.result.Differences = few(c.result.Differences, fmt.Sprintf("bid %d is %+v in the order %s, which is not its row", b.ID, b.row(), o))
		}
	}
}

// summarize counts which of the run's own keys have their bid in Redis in both orders and which don't. Redis is searched by
// the bid's id. Whether that id belongs to the key is checked in PostgreSQL.
func (c *copied) summarize() {
	r := c.result
	for _, b := range c.ledger.books {
		for serial, k := range b.keys {
			switch {
			case k.id > 0 && k.missable(): // enter has counted it if it is there
			case k.id > 0 && k.matched && c.everywhere(k.id):
				r.Stored++
			case k.late > 0 && c.everywhere(k.late):
				r.Stored++
				r.UnknownCommitted++
				r.UnknownKeys = few(r.UnknownKeys, b.name(serial))
			case k.id > 0, k.late > 0: // what was committed must be here, too
				r.Lost++
				r.LostKeys = few(r.LostKeys, b.name(serial))
			}
		}
	}
}

// everywhere says whether a bid was found in both orders.
func (c *copied) everywhere(id int64) bool {
	f := c.ledger.rows.at(id - c.ledger.after)
	return f != nil && f.redis[Newest] && f.redis[Highest]
}
