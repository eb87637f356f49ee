package verify

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
	"github.com/stock-pyramid/stock-pyramid/sql/replicationdb"
)

// The limits of one slice of the background comparison, and its rate. They keep the slot and the snapshot for some
// seconds only and load neither server noticeably.
const (
	sliceRaffles = 200
	sliceBids    = 50_000
	sliceRate    = 50_000 // rows or members a second: about a fifth of a core, so that requests find one beside it
	sliceDetails = 20
	sliceTime    = 5 * time.Minute
	passTime     = time.Hour // the aim for a pass over everything; slices of the least size may need less
	nextTime     = 10 * time.Second
)

// State is what the background comparison says about itself.
type State struct {
	Passes        int       `json:"passes"` // passes over the whole read model
	LastPassAt    string    `json:"last_pass_at,omitempty"`
	VerifiedKeys  int64     `json:"verified_keys"`
	DivergentKeys int       `json:"divergent_keys"`
	Findings      []Finding `json:"findings,omitempty"` // the first findings
	LastError     string    `json:"last_error,omitempty"`
	LastErrorAt   string    `json:"last_error_at,omitempty"`
}

// Background compares the read model slice by slice, again and again.
type Background struct {
	// Compared is told of each slice that was compared, if it is not nil. It is set before Run.
	Compared func(r Report, all State)

	verifier *Verifier
	interval time.Duration
	active   func() bool
	log      *slog.Logger

	after     int64    // the raffle that the last slice ended with
	listed    *listing // the keys that Redis had when the pass began
	passes    prometheus.Counter
	failures  prometheus.Counter
	divergent prometheus.Gauge
	verified  prometheus.Counter
	lastPass  prometheus.Gauge

	mu    sync.Mutex
	state State
	known map[key]known // the keys that differed when they were last compared
}

type known struct {
	epoch   readmodel.Epoch
	finding Finding // zero if the report had too many findings
}

// NewBackground makes a background comparison, which begins a slice at each interval while active returns true.
func NewBackground(v *Verifier, interval time.Duration, active func() bool, log *slog.Logger, reg prometheus.Registerer) *Background {
	b := &Background{verifier: v, interval: interval, active: active, log: log, known: make(map[key]known),
		divergent: prometheus.NewGauge(prometheus.GaugeOpts{Name: "readmodel_divergent_keys",
			Help: "Keys of the read model that were not as the primary has them when they were last compared."}),
		verified: prometheus.NewCounter(prometheus.CounterOpts{Name: "readmodel_verified_keys_total",
			Help: "Keys of the read model that were compared with the primary."}),
		lastPass: prometheus.NewGauge(prometheus.GaugeOpts{Name: "readmodel_verify_last_pass_timestamp_seconds",
			Help: "When the whole read model had been compared last; 0: not yet."}),
	}
	b.passes = prometheus.NewCounter(prometheus.CounterOpts{Name: "readmodel_verify_passes_total",
		Help: "How often the whole read model was compared with the primary."})
	b.failures = prometheus.NewCounter(prometheus.CounterOpts{Name: "readmodel_verify_failures_total",
		Help: "Comparisons of a part of the read model that did not come to their end."})
	reg.MustRegister(b.divergent, b.verified, b.lastPass, b.passes, b.failures)
	return b
}

// State is what the comparison has found so far.
func (b *Background) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	s.Findings = slices.Clone(s.Findings)
	return s
}

// Run compares until the context ends.
func (b *Background) Run(ctx context.Context) error {
	tick := time.NewTicker(b.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if !b.active() {
			continue
		}
		if err := b.slice(ctx); err != nil && ctx.Err() == nil {
			b.log.Warn("a part of the read model could not be compared", "error", err)
			b.failed(err, time.Now())
		}
	}
}

// slice compares the next raffles. The last slice of a pass also compares the lists over all raffles.
func (b *Background) slice(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sliceTime)
	defer cancel()
	scope, err := b.next(ctx)
	if err != nil {
		return err
	}
	if scope.After == 0 {
		b.listed = &listing{}
	}
	report, err := b.verifier.Run(ctx, Options{Scope: scope, Rate: sliceRate, Details: sliceDetails, listed: b.listed})
	if err != nil {
		return err
	}
	b.note(scope, report, time.Now())
	if b.Compared != nil {
		b.Compared(report, b.State())
	}
	if report.Divergent > 0 {
		parts := report.parts()
		b.log.Error("the read model differs from the primary: the parts are reloaded",
			"divergent_keys", report.Divergent, "first", lines(report.Findings), "parts", len(parts))
		if err := Request(ctx, b.verifier.client, parts); err != nil {
			return err
		}
	}
	if b.after = scope.To; scope.Globals {
		b.after = 0
	}
	return nil
}

// next returns the next scope. It has as many raffles as needed for a pass in passTime, but fewer if they have too many
// bids.
func (b *Background) next(ctx context.Context) (Scope, error) {
	ctx, cancel := context.WithTimeout(ctx, nextTime)
	defer cancel()
	conn, err := wal.Open(ctx, b.verifier.primaryURL, nil)
	if err != nil {
		return Scope{}, fmt.Errorf("next raffles: %w", err)
	}
	defer wal.Close(conn)
	rows, err := tables.Expected(ctx, conn)
	if err != nil {
		return Scope{}, err
	}
	scope := Scope{After: b.after}
	scope.To, err = replicationdb.New(conn).NextRaffles(ctx, replicationdb.NextRafflesParams{After: b.after, None: Everything.To,
		Raffles: b.share(rows[tables.Raffles], sliceRaffles) - 1, Bids: b.share(rows[tables.Bids], sliceBids) - 1})
	if err != nil {
		return Scope{}, fmt.Errorf("next raffles: %w", err)
	}
	scope.Globals = scope.To == Everything.To
	return scope, nil
}

// share is how many of these rows a slice takes.
func (b *Background) share(rows, least int64) int64 {
	slices := max(int64(passTime/b.interval), 1)
	return max(rows/slices+1, least)
}

// note replaces what is known of a scope by a report.
func (b *Background) note(scope Scope, r Report, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, was := range b.known {
		if scope.covers(k) || was.epoch != r.Epoch {
			delete(b.known, k)
		}
	}
	findings := make(map[string]Finding)
	for _, f := range r.Findings {
		findings[f.Key] = f
	}
	for _, k := range r.divergent {
		b.known[k] = known{r.Epoch, findings[k.name(r.Epoch)]}
	}
	b.state.LastError, b.state.LastErrorAt = "", "" // this slice began with what could not be compared
	b.state.VerifiedKeys += r.Keys
	b.state.DivergentKeys, b.state.Findings = len(b.known), b.first()
	b.verified.Add(float64(r.Keys))
	b.divergent.Set(float64(len(b.known)))
	if scope.Globals {
		b.state.Passes++
		b.passes.Inc()
		b.state.LastPassAt = now.UTC().Format(time.RFC3339)
		b.lastPass.Set(float64(now.Unix()))
	}
}

// first returns the first known findings, ordered by key.
func (b *Background) first() (all []Finding) {
	for _, k := range b.known {
		if k.finding.Key != "" {
			all = append(all, k.finding)
		}
	}
	slices.SortFunc(all, func(a, b Finding) int { return strings.Compare(a.Key, b.Key) })
	return all[:min(len(all), sliceDetails)]
}

func (b *Background) failed(err error, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures.Inc()
	b.state.LastError, b.state.LastErrorAt = err.Error(), now.UTC().Format(time.RFC3339)
}

func lines(findings []Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, f.String())
	}
	return all
}
