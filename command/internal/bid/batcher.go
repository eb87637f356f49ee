package bid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
)

// Limits bound what a Batcher takes on.
type Limits struct {
	// Lanes is how many batches are under way at once, each on a connection of its own. A bid that needs no lane has one
	// more connection.
	Lanes int
	// Batch is the most bids in one statement.
	Batch int
	// Queue is how many bids may wait before further ones are refused at once. Raffles with few waiting bids may
	// exceed it by a quarter.
	Queue int
	// Wait is how long a bid may wait in the queue before it is refused instead of tried. It is longer than a
	// switchover, during which nothing leaves the queue. What the queue may hold bounds the wait when the primary is
	// slow, see pressure.
	Wait time.Duration
	// Try is how long a batch may take.
	Try time.Duration
	// Overlap is how long the next statement waits for the one under way. On a few cores, two statements at once take
	// as long as one after the other, but each has half of the bids, and each needs its own commit, flush, message to
	// the standby and message to the replicator. The wait is bounded, because a statement that waits for a slow disk
	// must not hold up the others.
	Overlap time.Duration
}

// DefaultLimits suit a primary on the same two cores.
var DefaultLimits = Limits{Lanes: 4, Batch: 512, Queue: 2048, Wait: primary.RequestTime, Try: primary.RequestTime,
	Overlap: 10 * time.Millisecond}

// Writer carries bids out, as Store does. A bid whose result is ErrLocked is tried again.
type Writer interface {
	Place(ctx context.Context, bids []Bid) ([]Result, error)
	// Away says whether Place may have waited for a server that takes writes since a time.
	Away(since time.Time) bool
}

// Batcher combines the bids that arrive together into one statement. A lone bid is sent at once, and a batch holds the bids
// that arrived while the batch before it was under way. Only gather lets a batch wait longer.
type Batcher struct {
	to     Writer
	limits Limits
	queue  *queue
	now    func() time.Time
	log    *slog.Logger
	lanes  sync.WaitGroup
	stop   chan struct{}

	pressure   *pressure
	collecting sync.Mutex

	sizes prometheus.Histogram
	waits prometheus.Histogram
	sheds *prometheus.CounterVec
}

// NewBatcher registers its metrics and starts its lanes; Close ends them.
func NewBatcher(to Writer, l Limits, now func() time.Time, log *slog.Logger, reg prometheus.Registerer) *Batcher {
	b := &Batcher{to: to, limits: l, now: now, log: log,
		queue: newQueue(l.Overlap), stop: make(chan struct{}), pressure: newPressure(l),
		sizes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "command_bid_batch_size", Help: "Bids in one statement.", Buckets: prometheus.ExponentialBuckets(1, 2, 11)}),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "command_bid_queue_seconds", Help: "Time from a bid's arrival to its statement.",
			Buckets: []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1}}),
		sheds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "command_bids_shed_total", Help: "Bids that were refused because too many waited (full), for too long (late), or for a locked raffle (locked)."},
			[]string{"reason"})}
	for _, reason := range []string{"full", "late", "locked"} {
		b.sheds.WithLabelValues(reason)
	}
	reg.MustRegister(b.sizes, b.waits, b.sheds, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "command_bid_queue_length", Help: "Bids that wait for a statement."}, func() float64 { return float64(b.queue.length()) }))
	for range l.Lanes {
		b.lanes.Go(b.lane)
	}
	return b
}

// Full says whether a bid of the raffle would be refused now, so that the bid need not be read. It counts such a bid
// as shed.
func (b *Batcher) Full(raffleID int64) bool {
	if !b.queue.refuses(raffleID, int(b.pressure.queue.Load())) {
		return false
	}
	b.sheds.WithLabelValues("full").Inc()
	return true
}

// Place places one bid. The error is the result's own, ErrBusy, ErrLocked, or that of Store.Place. If ctx ends before
// the result is there, the error is ErrUnknownOutcome, and the queued bid may still be placed.
func (b *Batcher) Place(ctx context.Context, bid Bid) (Result, error) {
	w := &waiting{bid: bid, since: b.now(), result: make(chan Result, 1), span: tracing.Of(ctx)}
	batch, err := b.queue.enter(w, int(b.pressure.batch.Load()), int(b.pressure.queue.Load()))
	if err != nil {
		b.shed(err)
		return Result{}, err
	}
	if batch != nil {
		b.run(batch)
	}
	select {
	case r := <-w.result:
		b.shed(r.Err)
		return r, r.Err
	case <-ctx.Done():
		return Result{}, errors.Join(ErrUnknownOutcome, ctx.Err())
	}
}

func (b *Batcher) shed(err error) {
	switch {
	case errors.Is(err, ErrLocked):
		b.sheds.WithLabelValues("locked").Inc()
	case errors.Is(err, errLate):
		b.sheds.WithLabelValues("late").Inc()
	case errors.Is(err, ErrBusy):
		b.sheds.WithLabelValues("full").Inc()
	}
}

// errLate is the ErrBusy of a bid that has waited too long in the queue.
var errLate = fmt.Errorf("%w: waited too long", ErrBusy)

// Close ends the lanes after the queued bids are done. Place must not be called afterwards.
func (b *Batcher) Close() {
	close(b.stop)
	b.lanes.Wait()
}

func (b *Batcher) lane() {
	for {
		batch := b.collect()
		if batch == nil {
			return
		}
		b.run(batch)
	}
}

// collect waits until bids are ready and need not wait any longer, and takes them. After Close it returns nil as soon as
// the queue is empty. One lane collects at a time.
func (b *Batcher) collect() *batch {
	b.collecting.Lock()
	defer b.collecting.Unlock()
	stop := b.stop
	for {
		batch, wait := b.queue.collect(int(b.pressure.batch.Load()), b.now())
		if batch != nil {
			return batch
		}
		if stop == nil && b.queue.empty() {
			b.queue.signal() // for the next lane
			return nil
		}
		var turn <-chan time.Time
		if wait > 0 {
			turn = time.After(wait)
		}
		select {
		case <-b.queue.changed:
		case <-turn:
		case <-stop:
			stop = nil
		}
	}
}

// run carries out a batch and hands out the results. Even after a panic the batch ends and every caller gets an
// answer.
func (b *Batcher) run(batch *batch) {
	var refused []*waiting
	defer func() {
		if v := recover(); v != nil {
			b.log.Error("batch panicked", "panic", v, "stack", string(debug.Stack()))
			refused = nil
			for _, w := range batch.bids {
				if !w.settled {
					w.settle(Result{Err: fmt.Errorf("%w: %v", ErrUnknownOutcome, v)})
				}
			}
		}
		b.queue.leave(batch, refused, b.now())
	}()
	inTime := b.inTime(batch.bids)
	if len(inTime) == 0 {
		return
	}
	b.sizes.Observe(float64(len(inTime)))
	ctx, cancel := context.WithTimeout(context.Background(), b.limits.Try)
	defer cancel()
	ctx, span := b.trace(ctx, inTime)
	defer span.End()
	refused = b.try(ctx, inTime)
}

// trace begins the span of a batch if one of its requests has a span. Each such span is told how long its bid was in the queue.
func (b *Batcher) trace(ctx context.Context, bids []*waiting) (context.Context, tracing.Span) {
	var served []tracing.Span
	for _, w := range bids {
		if w.span.On() {
			w.span.Past("bid queue", w.since, b.now())
			served = append(served, w.span)
		}
	}
	ctx, span := tracing.Together(ctx, "bid batch", served)
	span.Number(tracing.Bids, int64(len(bids)))
	return ctx, span
}

// inTime returns the bids whose clients still wait. It refuses the others, which have waited too long.
func (b *Batcher) inTime(bids []*waiting) []*waiting {
	now := b.now()
	rest := make([]*waiting, 0, len(bids))
	for _, w := range bids {
		waited := now.Sub(w.since)
		if w.held.IsZero() {
			b.waits.Observe(waited.Seconds())
		}
		if waited > b.limits.Wait {
			w.settle(Result{Err: errLate})
			continue
		}
		rest = append(rest, w)
	}
	return rest
}

// try places the bids and returns those whose raffle is locked. If one bid may have caused the batch to fail, the
// batch is split in half and each half is tried, so that the other bids still succeed. A batch is not split if the
// database can't be reached, because the halves would fail too. After an unknown outcome the bids that have a key are
// tried once more, because a key never gets a second bid (W2).
func (b *Batcher) try(ctx context.Context, batch []*waiting) (refused []*waiting) {
	bids := make([]Bid, len(batch))
	for i, w := range batch {
		bids[i] = w.bid
	}
	start := b.now()
	results, err := b.to.Place(ctx, bids)
	end, waiting := b.now(), b.queue.answered(len(bids))
	if b.to.Away(start) { // the time says nothing about how fast the primary is
		b.pressure.paused(end)
	} else {
		b.pressure.ended(len(bids), end.Sub(start), err != nil, waiting, end)
	}
	switch {
	case err == nil:
		for i, w := range batch {
			if errors.Is(results[i].Err, ErrLocked) {
				refused = append(refused, w)
			} else {
				w.settle(results[i])
			}
		}
	case len(batch) > 1 && ctx.Err() == nil && primary.Divisible(err):
		refused = b.try(ctx, batch[:len(batch)/2])
		refused = append(refused, b.try(ctx, batch[len(batch)/2:])...)
	case ctx.Err() == nil && errors.Is(err, ErrUnknownOutcome):
		if again := doubtful(batch, err); len(again) > 0 {
			refused = b.try(ctx, again)
		}
	default:
		settleAll(batch, err)
	}
	return refused
}

// doubtful returns the bids that may be tried again after an unknown outcome, those with a key that were not tried
// again before. The others get the error.
func doubtful(batch []*waiting, err error) (again []*waiting) {
	for _, w := range batch {
		if w.bid.Key == "" || w.perhaps != nil {
			w.settle(Result{Err: err})
			continue
		}
		w.perhaps = err
		again = append(again, w)
	}
	return again
}

func settleAll(batch []*waiting, err error) {
	for _, w := range batch {
		w.settle(Result{Err: err})
	}
}
