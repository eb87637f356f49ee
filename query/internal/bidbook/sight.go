package bidbook

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// Sight is what a path shows to the observer of the paths, for people.
type Sight struct {
	Path   Path
	Spared bool // its breaker is open, so reads take the next path
	// At and Took are those of the last own lookup; Err is its error. Nothing is asked of a path that is spared.
	At   Position
	Took time.Duration
	Err  error
	// Reads is how many reads of clients the path has answered in a second, and P99 how long 99 of 100 of them took at
	// most, both over the last seconds. P99 is 0 if there were none.
	Reads float64
	P99   time.Duration
}

const (
	sightEvery = time.Second
	// sightSpan is over how many seconds the reads of clients are counted.
	sightSpan = 15
	// ownLimit and ownSize make the own lookup: the first page of bids of a size of the raffle that ends last. A size
	// without bids costs the same round trip.
	ownLimit = 20
	ownSize  = 270
)

// Observer does a small lookup on each path once a second, the same on all, so that their latencies can be compared even if
// clients use only one. It has breakers of its own, and its lookups take no places, so it changes nothing for the reads of
// clients.
type Observer struct {
	chain   *Chain
	raffle  int64 // of the own lookup; 0: not known yet
	watched []*watched

	mu     sync.Mutex
	sights []Sight
}

// watched is a path with what the observer keeps of it.
type watched struct {
	*path
	breaker breaker
	counts  []histogram // the last ones, oldest first
}

// NewObserver makes an observer of the paths that reads take. It works while Run does.
func NewObserver(c *Chain) *Observer {
	o := &Observer{chain: c}
	for _, p := range c.paths {
		if p.name != PathScan {
			o.watched = append(o.watched, &watched{path: p, breaker: breaker{limit: longBreak}})
			o.sights = append(o.sights, Sight{Path: p.name, Err: errNotAsked})
		}
	}
	return o
}

var errNotAsked = errors.New("not asked yet")

// Sights returns what the paths show, in the order in which they are tried.
func (o *Observer) Sights() []Sight {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Sight(nil), o.sights...)
}

// Left says whether reads leave Redis because it lags.
func (c *Chain) Left() bool { return c.left.Load() != nil }

// Run observes until ctx ends.
func (o *Observer) Run(ctx context.Context) error {
	tick := time.NewTicker(sightEvery)
	defer tick.Stop()
	for {
		o.choose(ctx)
		var all sync.WaitGroup
		for i := range o.watched {
			all.Go(func() { o.look(ctx, i) })
		}
		all.Wait()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// choose finds the raffle of the own lookup, once. Without one the lookup answers that there is no such raffle.
func (o *Observer) choose(ctx context.Context) {
	if o.raffle != 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, SQLBudget)
	defer cancel()
	if page, _, err := o.chain.Raffles(ctx, RafflesQuery{Status: All, Limit: 1}, Want{}); err == nil && len(page.Raffles) > 0 {
		o.raffle = page.Raffles[0].ID
	}
}

// look asks one path and notes what it shows.
func (o *Observer) look(ctx context.Context, i int) {
	w := o.watched[i]
	s := Sight{Path: w.name, Spared: w.open()}
	s.Reads, s.P99 = w.count(o.chain.metrics.answered[w.name])
	ok, trial := w.breaker.allow(time.Now())
	if ok {
		began := time.Now()
		s.At, s.Err = o.lookup(ctx, w.path)
		s.Took = time.Since(began)
		w.breaker.done(time.Now(), verdict(ctx, s.Err), trial)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !ok {
		s.At, s.Err = o.sights[i].At, o.sights[i].Err
	}
	if ctx.Err() == nil {
		o.sights[i] = s
	}
}

func (o *Observer) lookup(ctx context.Context, p *path) (Position, error) {
	ctx, cancel := context.WithTimeout(ctx, p.budget)
	defer cancel()
	_, at, err := p.reader.Bids(ctx, BidsQuery{RaffleID: o.raffle, Size: ownSize, Order: Newest, Limit: ownLimit}, lsn.Position{})
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return at, err
}

// histogram is the cumulative counts of a histogram's buckets at a time, and the buckets' upper bounds in seconds.
type histogram struct {
	at     time.Time
	total  uint64
	counts []uint64
	bounds []float64
}

// count takes the counts of now and compares them with those of sightSpan ago.
func (w *watched) count(o prometheus.Observer) (perSecond float64, p99 time.Duration) {
	metric, is := o.(prometheus.Metric)
	var m dto.Metric
	if !is || metric.Write(&m) != nil {
		return 0, 0
	}
	now := histogram{at: time.Now(), total: m.GetHistogram().GetSampleCount()}
	for _, b := range m.GetHistogram().GetBucket() {
		now.counts, now.bounds = append(now.counts, b.GetCumulativeCount()), append(now.bounds, b.GetUpperBound())
	}
	if w.counts = append(w.counts, now); len(w.counts) > sightSpan+1 {
		w.counts = w.counts[1:]
	}
	return now.since(w.counts[0])
}

// since is the rate between two readings, and the 99th percentile in between: the upper bound of its bucket. What took
// longer than the last bound counts as that bound.
func (h histogram) since(was histogram) (perSecond float64, p99 time.Duration) {
	n := h.total - was.total
	if n == 0 || !h.at.After(was.at) {
		return 0, 0
	}
	rank := n - n/100
	for i, bound := range h.bounds {
		p99 = time.Duration(bound * float64(time.Second))
		if h.counts[i]-was.counts[i] >= rank {
			break
		}
	}
	return float64(n) / h.at.Sub(was.at).Seconds(), p99
}
