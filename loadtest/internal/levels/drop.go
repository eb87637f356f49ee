package levels

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/frontdoor"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/reconcile"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const (
	stepLate = "bid, too late"
	// subscribers follow the raffle of a drop.
	subscribers = 20
	// settleTime bounds the wait for subscribers to begin, and to see the end.
	settleTime = 30 * time.Second
	settleTick = 50 * time.Millisecond
)

// rush is an iteration of the drop: a bid while the raffle is open, afterwards a look at how it ended.
func rush(w *shared) engine.Scenario {
	return func(u *engine.User) error {
		if w.account(u).over {
			w.get(u, "raffle", w.rafflePath(w.raffles[0]), nil)
		} else if err := w.bid(u); err != nil {
			return err
		}
		w.think(u)
		return nil
	}
}

// drop is the raffle that everybody bids on, with the followers of its live feed and its close in the middle. One process
// has it, however many generators there are. A nil drop is that of a level without one.
type drop struct {
	admin  *client.Session
	raffle int64

	followers []*subscriber
	stop      context.CancelFunc
	work      sync.WaitGroup

	mu     sync.Mutex         // of closed
	closer context.CancelFunc // gives up what closeAt waits for
	asked  time.Time          // when the close was sent
	closed client.Raffle
	err    error // of the close
}

// openDrop makes the raffle, and returns when it can be read and all subscribers follow it.
func openDrop(ctx context.Context, base string) (*drop, error) {
	admin, err := frontdoor.New(base, client.DefaultAttempts).Login(ctx, "admin", dataset.Password)
	if err != nil {
		return nil, fmt.Errorf("log in as admin: %w", err)
	}
	d := &drop{admin: admin}
	made, _, err := admin.OpenRaffle(ctx, client.NewRaffle{ProductID: 1, EndsAt: time.Now().Add(24 * time.Hour)})
	if err != nil {
		return nil, fmt.Errorf("open a raffle: %w", err)
	}
	d.raffle = made.ID
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	if _, _, err := admin.Raffle(ctx, d.raffle); err != nil {
		d.end()
		return nil, fmt.Errorf("read the new raffle: %w", err)
	}
	for range subscribers {
		s := &subscriber{drop: d}
		d.followers = append(d.followers, s)
		d.work.Go(func() { s.run(following) })
	}
	if err := until(ctx, "the subscribers to follow", func() bool { return d.count((*subscriber).isStarted) == subscribers }); err != nil {
		d.end()
		return nil, err
	}
	return d, nil
}

// end stops the subscribers, and closes a raffle that is still open.
func (d *drop) end() {
	if d == nil {
		return
	}
	d.stop()
	if d.closer != nil {
		d.closer()
	}
	d.work.Wait()
	if d.closed.ID == 0 { // so that it does not stay among the open raffles
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		if err := d.close(ctx); err != nil {
			d.err = errors.Join(d.err, err)
		}
	}
	d.admin.Close()
}

// closeTime bounds a close with its repetitions.
const closeTime = 10 * time.Second

// close closes the raffle.
func (d *drop) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	closed, _, err := d.admin.CloseRaffle(ctx, d.raffle)
	if err != nil {
		return fmt.Errorf("close the raffle: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = closed
	return nil
}

// closeAt closes the raffle at that time.
func (d *drop) closeAt(ctx context.Context, at time.Time) {
	if d == nil {
		return
	}
	ctx, d.closer = context.WithCancel(ctx)
	d.work.Go(func() {
		if d.err = sleep.Until(ctx, at); d.err != nil {
			return
		}
		d.asked = time.Now()
		d.err = d.close(ctx)
	})
}

// until asks again and again until something is so.
func until(ctx context.Context, what string, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for !is() {
		if err := sleep.For(ctx, settleTick); err != nil {
			return fmt.Errorf("waited for %s: %w", what, err)
		}
	}
	return nil
}

func (d *drop) count(is func(*subscriber) bool) (n int) {
	for _, s := range d.followers {
		if is(s) {
			n++
		}
	}
	return n
}

// outcome is what the primary holds of the raffle.
type outcome struct {
	price   *int64 // the closing price
	bids    []int64
	late    int64 // bids that were made after the close
	highest *int64
}

// judge adds the conditions of the drop.
func (d *drop) judge(ctx context.Context, run *report.Run, database string) {
	if d == nil {
		return
	}
	v := &run.Verdict
	waited := errors.New("the raffle was not closed in the middle")
	if d.isClosed() {
		waited = until(ctx, "the end of the feeds", func() bool { return d.count((*subscriber).isOver) == subscribers })
	}
	inTheMiddle := d.isClosed()
	d.end()
	v.Add("subscribers that saw the close", fmt.Sprint(subscribers), fmt.Sprint(d.count((*subscriber).isOver)), waited == nil)
	v.Add("close in the middle", "answered", word(d.err), inTheMiddle && d.err == nil)
	refused := run.Step(stepLate)
	v.Add(stepLate+": refused", "at least 1", progress.Grouped(refused.OK), refused.OK > 0)
	if len(refused.Seconds) > 0 && inTheMiddle {
		first, asked := refused.Seconds[0].At, int(d.asked.Sub(run.Started).Seconds())
		v.Add("first bid that was too late", fmt.Sprintf("from second %d on", asked), fmt.Sprintf("second %d", first), first >= asked)
	}
	o, err := d.read(ctx, database)
	if err != nil {
		v.Failed = append(v.Failed, fmt.Sprintf("the raffle of the drop was not read: %v", err))
		return
	}
	v.Add("bids after the close", "0", progress.Grouped(o.late), o.late == 0)
	v.Add("closing price", "the highest of "+progress.Grouped(int64(len(o.bids)))+" bids: "+price(o.highest), price(o.price),
		len(o.bids) > 0 && price(o.price) == price(o.highest) && price(d.closed.ClosingPrice) == price(o.highest))
	var missing, repeated, resets int
	for _, s := range d.followers {
		missing, repeated, resets = missing+len(s.log.Missing(o.bids)), repeated+len(s.log.Repeated()), resets+s.log.Resets()
	}
	v.Add("bids that a subscriber did not see, or saw twice", "0", fmt.Sprintf("%d missing, %d twice (%d resets)", missing, repeated, resets), missing+repeated == 0)
}

// isClosed says whether the close was answered. It is asked while closeAt may work.
func (d *drop) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed.ID != 0
}

func word(err error) string {
	if err != nil {
		return err.Error()
	}
	return "yes"
}

func price(p *int64) string {
	if p == nil {
		return "none"
	}
	return progress.Grouped(*p)
}

func (d *drop) read(ctx context.Context, database string) (o outcome, err error) {
	if database == "" {
		return o, errors.New("set LOADTEST_DATABASE_URL")
	}
	err = reconcile.OnPrimary(ctx, database, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT r.closing_price, coalesce(array_agg(b.id) FILTER (WHERE b.id IS NOT NULL), '{}'),
			count(*) FILTER (WHERE b.created_at >= r.closed_at), max(b.price)
			FROM raffles r LEFT JOIN bids b ON b.raffle_id = r.id WHERE r.id = $1 AND r.closed_at IS NOT NULL
			GROUP BY r.id`, d.raffle).Scan(&o.price, &o.bids, &o.late, &o.highest)
	})
	return o, err
}
