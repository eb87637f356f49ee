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

// fromRedis reads a page that Redis must answer, at lsn or later.
func fromRedis(ctx context.Context, door *frontdoor.Client, target, lsn string) (p page, lag string, err error) {
	a, err := door.Do(ctx, http.MethodGet, target, nil, "Read-Path", "redis", "Min-LSN", lsn)
	switch {
	case err != nil:
		return p, "", err
	case a.Status == http.StatusServiceUnavailable:
		return p, "", fmt.Errorf("GET %s from redis: %w %s", target, errBusy, a.Body)
	case a.Status != http.StatusOK:
		return p, "", fmt.Errorf("GET %s from redis: status %d %s", target, a.Status, a.Body)
	case a.Header.Get("Read-Path") != "redis":
		return p, "", fmt.Errorf("GET %s: %q answered instead of redis (set ALLOW_READ_PATH=true)", target, a.Header.Get("Read-Path"))
	}
	err = json.Unmarshal(a.Body, &p)
	return p, a.Header.Get("Read-Lag-Ms"), err
}

// await returns once Redis has reached the position and says that it has no lag.
func await(ctx context.Context, door *frontdoor.Client, set Set, lsn string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		_, lag, err := fromRedis(ctx, door, fmt.Sprintf("/v1/raffles/%d/bids?size=%d&limit=1", set.Raffle, set.Size), lsn)
		if err == nil && lag == "0" || err != nil && !errors.Is(err, errBusy) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("redis did not reach %s: %w", lsn, errors.Join(ctx.Err(), err))
		}
	}
}

type page struct {
	Bids []struct {
		ID int64 `json:"id"`
	} `json:"bids"`
	Next string `json:"next_cursor"`
}

// Redis compares the ledger with what the read API answers from Redis, once Redis has reached lsn and has no
// lag: every raffle and size that may have a bid of the run, newest first, down to the bids from before the
// run. Postgres must have been called before, because its rows tell which bids may be there.
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
	copied := &copied{ledger: l, result: &r}
	if err == nil {
		err = copied.readAll(ctx, door, sets, lsn, progress)
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
	mu     sync.Mutex
	ledger *Ledger
	result *report.Reconciliation
	ids    bitmap // by id - ledger.after
	done   int64
}

func (c *copied) readAll(ctx context.Context, door *frontdoor.Client, sets []Set, lsn string, progress Progress) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	progress("sets in Redis", 0, int64(len(sets)))
	for _, set := range sets {
		group.Go(func() error {
			if err := c.readSet(ctx, door, set, lsn); err != nil {
				return err
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.done++
			progress("sets in Redis", c.done, int64(len(sets)))
			return nil
		})
	}
	return group.Wait()
}

// readSet ends with the page whose last bid is from before the run, because all bids that follow are older still.
func (c *copied) readSet(ctx context.Context, door *frontdoor.Client, set Set, lsn string) error {
	path := fmt.Sprintf("/v1/raffles/%d/bids?size=%d&order=newest&limit=%d", set.Raffle, set.Size, pageSize)
	for cursor := ""; ; {
		var p page
		target := path
		if cursor != "" {
			target += "&cursor=" + url.QueryEscape(cursor)
		}
		if err := patient(ctx, func() (err error) { p, _, err = fromRedis(ctx, door, target, lsn); return err }); err != nil {
			return err
		}
		c.enter(p)
		if p.Next == "" || len(p.Bids) == 0 || p.Bids[len(p.Bids)-1].ID <= c.ledger.after {
			return nil
		}
		cursor = p.Next
	}
}

// patient repeats a read that had no room.
func patient(ctx context.Context, read func() error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for try := 0; ; try++ {
		err := read()
		if !errors.Is(err, errBusy) || try == readRetries {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *copied) enter(p page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range p.Bids {
		n := b.ID - c.ledger.after
		if n <= 0 {
			continue
		}
		if !c.ids.add(n) {
			c.result.Doubled++
			continue
		}
		if !c.ledger.stored.has(n) {
			c.result.Unexpected++
		}
	}
}

// summarize counts which of the run's own keys have their bid in Redis and which don't. Redis is searched by
// the bid's id. Whether that id belongs to the key is checked in PostgreSQL.
func (c *copied) summarize() {
	r := c.result
	for _, b := range c.ledger.books {
		for serial, id := range b.outcome {
			late := b.late[uint32(serial)]
			switch {
			case id > 0 && b.matched.has(int64(serial)) && c.ids.has(id-c.ledger.after):
				r.Stored++
			case id > 0:
				r.Lost++
				r.LostKeys = example(r.LostKeys, b, uint32(serial))
			case late > 0 && c.ids.has(late-c.ledger.after):
				r.Stored++
				r.UnknownCommitted++
				r.UnknownKeys = example(r.UnknownKeys, b, uint32(serial))
			case late > 0: // committed, so it must be here too
				r.Lost++
				r.LostKeys = example(r.LostKeys, b, uint32(serial))
			}
		}
	}
}
