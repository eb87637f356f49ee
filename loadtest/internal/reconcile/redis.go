package reconcile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const (
	pageSize  = 2000 // bids in one answer: the API's limit
	readers   = 8
	pollEvery = 200 * time.Millisecond
	// readAttempts outlast a time in which Redis has no room.
	readAttempts = 50
)

// inRedis are the options of a read that Redis must answer, at lsn or later.
func inRedis(lsn client.Position) []client.ReadOption {
	return []client.ReadOption{client.Through("redis"), client.AtLeast(lsn)}
}

// fromRedis says whether Redis has given an answer.
func fromRedis(r client.Reading, err error) error {
	if err == nil && r.Path != "redis" {
		return fmt.Errorf("%q answered instead of redis (set ALLOW_READ_PATH=true)", r.Path)
	}
	return err
}

// await returns once Redis has reached the position and says that it has no lag.
func await(ctx context.Context, door *client.Client, set Set, lsn client.Position) error {
	for {
		page, err := door.Bids(ctx, int64(set.Raffle), client.BidFilter{Size: int(set.Size), Limit: 1}, inRedis(lsn)...)
		err = fromRedis(page.Reading, err)
		p, refused := errors.AsType[*client.Problem](err)
		behind := refused && p.Status == http.StatusServiceUnavailable
		if err == nil && page.Lag == 0 || err != nil && !behind {
			return err
		}
		if ended := sleep.For(ctx, pollEvery); ended != nil {
			return fmt.Errorf("redis did not reach %s: %w", lsn, errors.Join(ended, err))
		}
	}
}

// Redis compares the ledger with what the read API answers from Redis, once Redis has reached lsn and has no
// lag: every raffle and size that may have a bid of the run, in both orders, and the counts and highest prices of their
// raffles. Postgres must have been called before, because its rows tell which bids may be there, and what they hold.
func (l *Ledger) Redis(ctx context.Context, door *client.Client, lsn client.Position, progress Progress) report.Reconciliation {
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
	door   *client.Client
	lsn    client.Position

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
	d, r, err := c.door.Raffle(ctx, int64(raffle), inRedis(c.lsn)...)
	if err := fromRedis(r, err); err != nil {
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
			if s.Size == int(size) {
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
	of := client.BidFilter{Size: int(w.set.Size), Order: w.order.String(), Limit: pageSize}
	for {
		page, err := c.door.Bids(ctx, int64(w.set.Raffle), of, inRedis(c.lsn)...)
		if err := fromRedis(page.Reading, err); err != nil {
			return err
		}
		for _, b := range page.Items {
			if !w.next(shownOf(b)) {
				c.misplaced("bid %d of raffle %d and size %d is out of its place in the order %s", b.ID, w.set.Raffle, w.set.Size, w.order)
			}
		}
		c.enter(w.order, page.Items)
		if page.Next == "" || len(page.Items) == 0 || w.order == Newest && w.last.ID <= c.ledger.after {
			return nil
		}
		of.Cursor = page.Next
	}
}

func (c *copied) enter(o Order, bids []client.Bid) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range bids {
		b := shownOf(of)
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
