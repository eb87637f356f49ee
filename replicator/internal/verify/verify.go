package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/pause"
)

// Verifier compares one primary with one Redis. It may run in any process, and several may run at once.
type Verifier struct {
	primaryURL string
	client     *redis.Client
}

// New makes a verifier, which must be closed. It changes the options so that Redis commands are never retried.
func New(primaryURL string, options *redis.Options) *Verifier {
	options.MaxRetries = -1
	options.Protocol = 2
	options.DisableIdentity = true
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = 2*time.Second, 10*time.Second, 10*time.Second
	return &Verifier{primaryURL: primaryURL, client: redis.NewClient(options)}
}

// Close closes the connections to Redis.
func (v *Verifier) Close() error { return v.client.Close() }

// Options say how a comparison is made.
type Options struct {
	Scope   Scope
	Repair  bool
	Rate    int // rows of the primary, and members of Redis, per second; 0: no limit
	Details int // how many divergent keys are inspected and reported one by one
	// Progress is called with the progress of a step. A step begins with 0 and ends with its total.
	Progress func(step string, done, total int64)

	listed *listing // nil: the keys of Redis are listed for this comparison
}

// ErrUnstable is returned when the read model was rebuilt again and again during the comparison.
var ErrUnstable = errors.New("the read model does not stay long enough to be compared")

const attempts = 5

// Run compares. With Repair it also has the replicator reload what differs, and compares again. An error means that the
// comparison could not be completed; a difference is no error.
func (v *Verifier) Run(ctx context.Context, o Options) (Report, error) {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	report, err := v.compare(ctx, o)
	if err != nil || !o.Repair || report.Divergent == 0 {
		return report, err
	}
	if err := Reload(ctx, v.client, report.parts(), o.Progress); err != nil {
		return report, err
	}
	again, err := v.compare(ctx, o)
	if err == nil {
		report.repairedBut(again)
	}
	return report, err
}

// compare makes attempts until one sees a single epoch from beginning to end.
func (v *Verifier) compare(ctx context.Context, o Options) (Report, error) {
	limit := rate.NewLimiter(rate.Inf, portion)
	if o.Rate > 0 {
		limit.SetLimit(rate.Limit(o.Rate))
	}
	begun := time.Now()
	for range attempts {
		r := &run{Verifier: v, Options: o, limit: limit}
		err := r.run(ctx)
		r.report.Took = time.Since(begun)
		if !errors.Is(err, errEpoch) {
			return r.report, err
		}
	}
	return Report{}, ErrUnstable
}

// run is one attempt at a comparison, of one epoch.
type run struct {
	*Verifier
	Options
	limit  *rate.Limiter
	epoch  readmodel.Epoch
	before map[readmodel.Part]bool // parts that were known to be incomplete when the comparison began
	report Report
}

func (r *run) run(ctx context.Context) error {
	if err := r.findEpoch(ctx); err != nil {
		return err
	}
	var err error
	if r.before, err = pendingParts(ctx, r.client); err != nil {
		return err
	}
	there, err := r.there(ctx)
	if err != nil {
		return err
	}
	mismatches, err := r.survey(ctx, there)
	if err != nil {
		return err
	}
	r.report.Divergent = len(mismatches)
	for _, s := range mismatches {
		r.report.divergent = append(r.report.divergent, s.key)
	}
	return r.inspect(ctx, mismatches)
}

// ErrPaused is returned during a pause, because the stream must go on for a comparison.
var ErrPaused = errors.New(`the replicator is paused: run "replicator resume" before`)

// findEpoch reads which epoch is served. It fails if none is, and during a pause.
func (r *run) findEpoch(ctx context.Context) error {
	switch p, err := pause.Read(ctx, r.client); {
	case err != nil:
		return err
	case p != nil:
		return ErrPaused
	}
	stored, err := checkpoint(ctx, r.client)
	if err != nil {
		return err
	}
	if stored == "" {
		return errors.New("redis has no checkpoint: the read model is being built, or no replicator runs")
	}
	cp, err := readmodel.ParseCheckpoint(stored)
	r.epoch, r.report.Epoch = cp.Epoch, cp.Epoch
	if err == nil && cp.Format != readmodel.Format {
		err = fmt.Errorf("the replicator of another release has written Redis (format %d, here %d): compare with its program", cp.Format, readmodel.Format)
	}
	return err
}

// there returns the keys of the epoch in Redis that are in the scope.
func (r *run) there(ctx context.Context) (map[key]bool, error) {
	l := r.listed
	if l == nil {
		l = &listing{}
	}
	if l.epoch != r.epoch {
		if err := l.scan(ctx, r.client, r.epoch); err != nil {
			return nil, err
		}
	}
	return l.in(r.Scope), nil
}

// survey compares everything in the scope and returns the keys that differ. there are the keys that Redis has. If the
// primary knows nothing of such a key, the key must be empty.
func (r *run) survey(ctx context.Context, there map[key]bool) ([]mismatch, error) {
	source, err := r.open(ctx, newModel(r.Scope, newHasher()))
	if err != nil {
		return nil, err
	}
	defer source.close()
	c := &comparison{client: r.client, limit: r.limit, epoch: r.epoch, source: source}
	if err := c.exactly(ctx, func() (string, error) { return checkpoint(ctx, r.client) }); err != nil {
		return nil, err
	}
	sets, others := r.plan(source.model, there)
	expected := int64(0)
	for _, s := range sets {
		expected += 2 * source.model.digest(s).count
	}
	r.Progress("comparing", 0, expected)
	bad, err := c.compareSets(ctx, sets, func(n int64) {
		r.report.Members += n
		r.Progress("comparing", max(r.report.Members, 1), max(expected, r.report.Members+1))
	})
	if err != nil {
		return nil, err
	}
	err = c.compareContents(ctx, others, func(k key, _ difference) { bad = append(bad, k) })
	r.Progress("comparing", max(expected, 1), max(expected, 1))
	at, _ := source.waiting()
	r.report.LSN, r.report.Keys, r.report.Rows = at.String(), c.keys, source.rows
	if err != nil {
		return nil, err
	}
	known, err := r.known(ctx, bad, source)
	mismatches := make([]mismatch, 0, len(bad))
	for _, k := range bad {
		if known[k.whole()] {
			r.report.Pending++
			continue
		}
		mismatches = append(mismatches, mismatch{k, source.model.weight(k)})
	}
	return mismatches, err
}

func (r *run) open(ctx context.Context, m *model) (*source, error) {
	return openSource(ctx, r.primaryURL, m, r.limit, func(done, total int64) { r.Progress("reading the primary", done, total) })
}

// plan lists the sets of bids and the other keys to compare.
func (r *run) plan(m *model, there map[key]bool) (sets []set, others []key) {
	known, ids := make(map[set]bool), make(map[int64]bool)
	for id, b := range m.books {
		ids[id] = true
		for _, s := range *b {
			known[set{id, s.size}] = true
		}
	}
	for id := range m.raffles {
		ids[id] = true
	}
	for k := range there {
		ids[k.raffle] = true
		if k.kind == newest || k.kind == highest {
			known[k.set] = true
		}
	}
	sets = slices.Collect(maps.Keys(known))
	sortSets(sets)
	for id := range ids {
		if r.Scope.has(id) {
			others = append(others, key{sizes, set{raffle: id}}, key{raffle, set{raffle: id}})
		}
	}
	if r.Scope.Globals {
		others = append(others, key{kind: raffles}, key{kind: products})
		for size := range m.latest {
			others = append(others, key{sizeNewest, set{size: size}})
		}
		for k := range there { // a size without bids must have no bids in Redis
			if k.kind == sizeNewest && m.latest[k.size] == nil {
				others = append(others, k)
			}
		}
	}
	return sets, others
}
