package paths

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/frontdoor"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// connections is how many requests can be under way on one path.
const connections = 32

type runner struct {
	Config
	run  *report.Run
	door *frontdoor.Client
}

// compare makes one comparison of all paths that answer at all.
func (r *runner) compare(ctx context.Context, l lookup) error {
	c := report.PathComparison{Name: l.name, Blocks: r.Blocks, Rate: l.rate, Base: base}
	usable := r.usable(ctx, l)
	if len(usable) == 0 {
		return nil // each was said why
	}
	if err := r.sameBodies(ctx, l, usable, &c); err != nil {
		return err
	}
	if c.Different > 0 {
		r.run.Verdict.Failed = append(r.run.Verdict.Failed, fmt.Sprintf("%s: %d of %d bodies differ between the paths: %s",
			l.name, c.Different, c.Compared, c.Sample))
	}
	results := make(map[string]*measured)
	for _, p := range usable {
		if cold := l.cold[p]; len(cold) > 0 {
			// Not recorded, because the services open their connections now, and only the data are to be cold.
			if err := r.block(ctx, l, newMeasured(p, unrecorded), l.warm, int64(len(l.warm))); err != nil {
				return err
			}
			results[p+" cold"] = newMeasured(p, "cold")
			if err := r.block(ctx, l, results[p+" cold"], cold, int64(len(cold))); err != nil {
				return err
			}
		}
		results[p] = newMeasured(p, "warm")
	}
	for b := range r.Blocks {
		for i := range usable {
			p := usable[(i+b)%len(usable)] // each begins in turn
			if err := r.block(ctx, l, results[p], r.sequence(l.warm, b), max(1, int64(l.rate*r.Block.Seconds()))); err != nil {
				return err
			}
		}
	}
	for _, p := range usable {
		for _, m := range []*measured{results[p], results[p+" cold"]} {
			if m != nil {
				r.add(ctx, l, m, &c)
			}
		}
	}
	r.run.Paths = append(r.run.Paths, c)
	return nil
}

// usable asks every path once. If a path does not offer the lookup (yet), it is named and left out.
func (r *runner) usable(ctx context.Context, l lookup) (paths []string) {
	for _, p := range r.Paths {
		a, err := r.get(ctx, l.target(l.warm[0]), p, "")
		var reason string
		switch {
		case err != nil:
			reason = err.Error()
		case a.Status != http.StatusOK:
			reason = fmt.Sprintf("status %d %s", a.Status, bytes.TrimSpace(a.Body[:min(len(a.Body), maxReason)]))
		case a.Header.Get("Read-Path") != p:
			reason = fmt.Sprintf("%q answered: does the service have ALLOW_READ_PATH=true?", a.Header.Get("Read-Path"))
		default:
			paths = append(paths, p)
			continue
		}
		r.run.Config = append(r.run.Config, report.Field{Name: "left out: " + p + ", " + l.name, Value: reason})
		fmt.Fprintf(r.Notes, "%s: %s is left out: %s\n", l.name, p, reason)
	}
	return paths
}

// maxReason bounds what is shown of a refusal, in bytes.
const maxReason = 300

// sequence is the order of the warm keys in a block: the same for every path.
func (r *runner) sequence(warm []key, block int) []key {
	keys := slices.Clone(warm)
	random := rand.New(rand.NewPCG(r.Seed, uint64(block)+1))
	random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

const unrecorded = ""

// measured is what one path did, over all blocks.
type measured struct {
	path, cache string
	ok, failed  int64
	latency     report.Histogram

	mu  sync.Mutex
	lag *hdrhistogram.Histogram // milliseconds, plus one: 0 is out of a histogram's range
}

func newMeasured(path, cache string) *measured {
	return &measured{path: path, cache: cache, lag: hdrhistogram.New(1, int64(time.Hour/time.Millisecond), 2)}
}

func (m *measured) seeLag(r *fasthttp.Response) {
	ms, err := strconv.ParseInt(string(r.Header.Peek("Read-Lag-Ms")), 10, 64)
	if err != nil || ms < 0 {
		return // a header that is missing counts as not seen
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.lag.RecordValue(ms + 1) // more than an hour is out of range: not seen
}

// block makes so many reads through one path in the open model, or a few one after the other if it is Scan.
func (r *runner) block(ctx context.Context, l lookup, m *measured, keys []key, reads int64) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	c := engine.Config{Addr: r.Addr, TLS: r.TLS, VUsers: connections, Rate: l.rate, Arrivals: reads, Seed: r.Seed, Timeout: 15 * time.Second}
	if m.path == Scan {
		c.VUsers, c.Rate, c.Arrivals, c.Iterations = 1, 0, 0, (r.Scans+r.Blocks-1)/r.Blocks
	}
	step := m.path + ", " + m.cache + ": " + l.name
	result, err := engine.Run(ctx, c, func(u *engine.User) error {
		n := u.Iteration
		if c.Rate > 0 {
			n = int(u.Arrival)
		}
		u.Prepare(http.MethodGet, l.target(keys[n%len(keys)])).Header.Set("Read-Path", m.path)
		_ = u.Do(step, func(w *fasthttp.Response) bool { // recorded as a failure
			m.seeLag(w)
			return w.StatusCode() == http.StatusOK
		})
		return nil
	})
	if err != nil {
		return err
	}
	s := result.Step(step)
	m.ok, m.failed = m.ok+s.OK, m.failed+s.Failed
	m.latency = m.latency.Merge(report.FromHDR(s.Total))
	r.run.Generator.CPU += result.GeneratorCPU
	if m.cache == unrecorded {
		return nil
	}
	for kind, f := range s.Failures {
		r.fail(report.ErrorKind{Step: step, Kind: kind, Count: f.Count, First: f.First.Sub(r.run.Started), Sample: f.Sample})
	}
	return nil
}

// fail adds a kind of failure to what earlier blocks had of it.
func (r *runner) fail(e report.ErrorKind) {
	for i := range r.run.Errors {
		if have := &r.run.Errors[i]; have.Step == e.Step && have.Kind == e.Kind {
			have.Count += e.Count
			return
		}
	}
	r.run.Errors = append(r.run.Errors, e)
}

func (r *runner) add(ctx context.Context, l lookup, m *measured, c *report.PathComparison) {
	lag := time.Duration(0)
	if m.lag.TotalCount() > 0 {
		lag = time.Duration(m.lag.ValueAtPercentile(50)-1) * time.Millisecond
	}
	result := report.PathResult{Path: m.path, Cache: m.cache, OK: m.ok, Failed: m.failed, Latency: m.latency, Lag: lag}
	if m.cache == "warm" {
		result.Explain = r.explain(ctx, l, m.path)
	}
	c.Paths = append(c.Paths, result)
	r.run.Steps = append(r.run.Steps, report.Step{Name: m.path + ", " + m.cache + ": " + l.name, OK: m.ok, Failed: m.failed,
		Service: m.latency, Total: m.latency})
}
