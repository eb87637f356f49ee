package bid

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Limits bound what a Batcher takes on.
type Limits struct {
	// Lanes is how many batches are under way at once, each on a connection of its own.
	Lanes int
	// Batch is the most bids in one statement.
	Batch int
	// Queue is how many bids may wait; those beyond are refused at once.
	Queue int
	// Wait is how long a bid may wait in the queue before it is refused instead of tried.
	Wait time.Duration
	// Try is how long a batch or a cancellation may take.
	Try time.Duration
	// Overlap is how long a statement may take before the next one no longer waits for it. On the same
	// few cores, two statements at once take as long as one after the other, each with half of the bids
	// and with a commit, a flush, a message to the standby and one to the replicator of its own. One
	// that waits for a lock or a slow disk must not hold up the others, though.
	Overlap time.Duration
	// Cancels is how many cancellations are under way at once.
	Cancels int
}

// DefaultLimits suit a primary on the same two cores.
var DefaultLimits = Limits{Lanes: 4, Batch: 512, Queue: 2048, Wait: time.Second, Try: 2 * time.Second,
	Overlap: 10 * time.Millisecond, Cancels: 64}

// Batcher makes one statement of the bids that arrive together. There is no delay: a lone bid goes at
// once, and a batch is what has come while the one before was under way.
type Batcher struct {
	direct
	to     Writer
	limits Limits
	queue  chan *waiting
	now    func() time.Time
	lanes  sync.WaitGroup
	stop   chan struct{}

	pressure *pressure

	collecting sync.Mutex
	underway   atomic.Int64
	finished   chan struct{}

	sizes prometheus.Histogram
	waits prometheus.Histogram
	sheds *prometheus.CounterVec
}

// waiting is a bid in the queue and where its caller waits for the result.
type waiting struct {
	bid    Bid
	since  time.Time
	result chan Result // holds one, so that a lane never waits for a caller
}

// NewBatcher registers its metrics and starts its lanes; Close ends them.
func NewBatcher(to Writer, l Limits, now func() time.Time, reg prometheus.Registerer) *Batcher {
	b := &Batcher{direct: direct{to, make(chan struct{}, l.Cancels), l.Try}, to: to, limits: l, now: now,
		queue: make(chan *waiting, l.Queue), stop: make(chan struct{}), finished: make(chan struct{}, 1), pressure: newPressure(l),
		sizes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bid_batch_size", Help: "Bids in one statement.", Buckets: prometheus.ExponentialBuckets(1, 2, 11)}),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bid_queue_seconds", Help: "Time from a bid's arrival to its statement.",
			Buckets: []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1}}),
		sheds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bids_shed_total", Help: "Bids that were refused because too many waited (full) or for too long (late)."},
			[]string{"reason"})}
	reg.MustRegister(b.sizes, b.waits, b.sheds, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bid_queue_length", Help: "Bids that wait for a statement."}, func() float64 { return float64(len(b.queue)) }))
	for range l.Lanes {
		b.lanes.Go(b.lane)
	}
	return b
}

// Full says that a bid would be refused now. It spares the work of reading one.
func (b *Batcher) Full() bool {
	if int64(len(b.queue)) < b.pressure.queue.Load() {
		return false
	}
	b.sheds.WithLabelValues("full").Inc()
	return true
}

// Place places one bid. The error is the result's own, ErrBusy, or that of Store.Place. What has been
// queued goes on without its caller.
func (b *Batcher) Place(ctx context.Context, bid Bid) (Result, error) {
	if b.Full() {
		return Result{}, ErrBusy
	}
	w := &waiting{bid: bid, since: b.now(), result: make(chan Result, 1)}
	if b.underway.CompareAndSwap(0, 1) {
		// Nothing is under way: no lane has to be woken, which would take longer than the statement needs
		// to be sent. Whoever has queued meanwhile comes along.
		b.place(b.punctual(b.drain([]*waiting{w})))
		b.finish()
		r := <-w.result
		return r, r.Err
	}
	select {
	case b.queue <- w:
	default:
		b.sheds.WithLabelValues("full").Inc()
		return Result{}, ErrBusy
	}
	select {
	case r := <-w.result:
		return r, r.Err
	case <-ctx.Done():
		return Result{}, errors.Join(ErrUnknownOutcome, ctx.Err())
	}
}

// Close ends the lanes after what is queued is done. No Place may follow.
func (b *Batcher) Close() {
	close(b.stop)
	b.lanes.Wait()
}

func (b *Batcher) lane() {
	batch := make([]*waiting, 0, b.limits.Batch)
	for {
		batch = b.collect(batch[:0])
		if len(batch) == 0 {
			return
		}
		b.place(b.punctual(batch))
		b.finish()
	}
}

// collect waits for a bid, and while a statement is under way, for its end or for Overlap to pass, and
// takes what waits then; nothing after Close. One lane collects at a time.
func (b *Batcher) collect(batch []*waiting) []*waiting {
	b.collecting.Lock()
	defer b.collecting.Unlock()
	select {
	case w := <-b.queue:
		batch = append(batch, w)
	case <-b.stop:
		select {
		case w := <-b.queue:
			batch = append(batch, w)
		default:
			return nil
		}
	}
	b.awaitTurn()
	b.underway.Add(1)
	return b.drain(batch)
}

// drain adds what waits, as far as a statement may hold it.
func (b *Batcher) drain(batch []*waiting) []*waiting {
	for limit := int(b.pressure.batch.Load()); len(batch) < limit; {
		select {
		case w := <-b.queue:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

func (b *Batcher) awaitTurn() {
	if b.underway.Load() == 0 {
		return
	}
	timer := time.NewTimer(b.limits.Overlap)
	defer timer.Stop()
	for b.underway.Load() > 0 && len(b.queue) < int(b.pressure.batch.Load()) {
		select {
		case <-b.finished:
		case <-timer.C:
			return
		}
	}
}

// finish tells the collecting lane that a statement has ended.
func (b *Batcher) finish() {
	b.underway.Add(-1)
	select {
	case b.finished <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}

// punctual refuses those that have waited too long: their clients are about to give up.
func (b *Batcher) punctual(batch []*waiting) []*waiting {
	now := b.now()
	return slices.DeleteFunc(batch, func(w *waiting) bool {
		waited := now.Sub(w.since)
		b.waits.Observe(waited.Seconds())
		if waited <= b.limits.Wait {
			return false
		}
		b.sheds.WithLabelValues("late").Inc()
		w.result <- Result{Err: ErrBusy}
		return true
	})
}

// place carries out a batch and hands out the results.
func (b *Batcher) place(batch []*waiting) {
	if len(batch) == 0 {
		return
	}
	b.sizes.Observe(float64(len(batch)))
	ctx, cancel := context.WithTimeout(context.Background(), b.limits.Try)
	defer cancel()
	b.try(ctx, batch)
}

// try places the batch, or its halves if it fails for a reason that one bid or one locked raffle may
// have brought in. A database that can't be reached would fail the halves too, and an unknown outcome is
// final here: only a client with its key may ask again.
func (b *Batcher) try(ctx context.Context, batch []*waiting) {
	bids := make([]Bid, len(batch))
	for i, w := range batch {
		bids[i] = w.bid
	}
	start := b.now()
	results, err := b.to.Place(ctx, bids)
	end := b.now()
	b.pressure.ended(len(bids), end.Sub(start), err != nil, len(b.queue), end)
	switch {
	case err == nil:
		for i, w := range batch {
			w.result <- results[i]
		}
	case len(batch) > 1 && ctx.Err() == nil && divisible(err):
		b.try(ctx, batch[:len(batch)/2])
		b.try(ctx, batch[len(batch)/2:])
	default:
		for _, w := range batch {
			w.result <- Result{Err: err}
		}
	}
}
