package paths

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// connections is how many requests can be under way on one path.
const connections = 32

type runner struct {
	Config
	run  *report.Run
	door *client.Client
	used map[string]time.Duration // processor time of the processes in the blocks
	// parts are the results of a lookup's blocks, at the run's time, which is the measured time.
	parts []*report.Run
}

// compare makes one comparison of all paths that answer at all.
func (r *runner) compare(ctx context.Context, l lookup) error {
	c := report.PathComparison{Name: l.name, Blocks: r.Blocks, Rate: l.rate, Base: base}
	usable := r.usable(ctx, l)
	if len(usable) == 0 {
		return nil // the verdict says why
	}
	if err := r.sameBodies(ctx, l, usable, &c); err != nil {
		return err
	}
	if len(usable) > 1 {
		r.run.Verdict.Add("bodies that differ: "+l.name, "at most 0", fmt.Sprintf("%d of %d", c.Different, c.Compared), c.Different == 0 && c.Compared > 0)
	}
	r.parts = nil
	results, err := r.measure(ctx, l, usable)
	if err != nil {
		return err
	}
	all, err := report.Merge(r.parts)
	if err != nil {
		return err
	}
	for _, m := range results {
		r.add(ctx, l, m, all, &c)
	}
	r.run.Errors = append(r.run.Errors, all.Errors...)
	r.run.Generator.CPU += all.Generator.CPU
	r.run.Paths = append(r.run.Paths, c)
	return nil
}

// measure reads the cold keys and then the warm ones. The results are in the order of the paths.
func (r *runner) measure(ctx context.Context, l lookup, usable []string) (results []*measured, err error) {
	warm, cold := make(map[string]*measured), make(map[string]*measured)
	for _, p := range usable {
		warm[p] = newMeasured(p, "warm")
		results = append(results, warm[p])
		if len(l.cold[p]) > 0 {
			cold[p] = newMeasured(p, "cold")
			results = append(results, cold[p])
			// Not recorded, because the services open their connections now, and only the data are to be cold.
			if err := r.block(ctx, l, newMeasured(p, unrecorded), l.warm); err != nil {
				return nil, err
			}
		}
	}
	err = r.blocks(ctx, l, usable, cold, func(p string, b int) []key {
		n := len(l.cold[p])
		return l.cold[p][b*n/r.Blocks : (b+1)*n/r.Blocks]
	})
	if err == nil {
		err = r.blocks(ctx, l, usable, warm, func(_ string, b int) []key { return r.sequence(l, b) })
	}
	return results, err
}

// blocks makes all blocks of the paths in results; each path begins in turn.
func (r *runner) blocks(ctx context.Context, l lookup, usable []string, results map[string]*measured, keys func(path string, block int) []key) error {
	for b := range r.Blocks {
		for i := range usable {
			p := usable[(i+b)%len(usable)]
			if results[p] == nil {
				continue
			}
			if err := r.block(ctx, l, results[p], keys(p, b)); err != nil {
				return err
			}
		}
	}
	return nil
}

// usable asks every path once. If a path does not answer, it is left out, and the run fails.
func (r *runner) usable(ctx context.Context, l lookup) (paths []string) {
	for _, p := range r.Paths {
		a, err := r.get(ctx, l.target(l.warm[0]), p, "")
		for until := time.Now().Add(settling); err == nil && a.Status == http.StatusServiceUnavailable && time.Now().Before(until); {
			if err = sleep.For(ctx, settling/50); err == nil {
				a, err = r.get(ctx, l.target(l.warm[0]), p, "")
			}
		}
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
		r.run.Verdict.Add(failedRequests(p, "warm", l), "at most 0", "left out: "+reason, false)
		fmt.Fprintf(r.Notes, "%s: %s is left out: %s\n", l.name, p, reason)
	}
	return paths
}

// settling is for how long a path may refuse its first read: a service that has just started does not yet know that a
// standby is one of its primary's.
const settling = 5 * time.Second

// maxReason bounds what is shown of a refusal, in bytes.
const maxReason = 300

// failedRequests names the condition on a path's requests.
func failedRequests(path, cache string, l lookup) string {
	return stepName(path, cache, l) + ": failed requests"
}

func stepName(path, cache string, l lookup) string { return path + ", " + cache + ": " + l.name }

// sequence are the warm keys in the order of a block, which is the same for every path: as many as the block has reads.
func (r *runner) sequence(l lookup, block int) []key {
	random := rand.New(rand.NewPCG(r.Seed, uint64(block)+1))
	order := random.Perm(len(l.warm))
	keys := make([]key, max(1, int(l.rate*r.Block.Seconds())))
	for i := range keys {
		keys[i] = l.warm[order[i%len(order)]]
	}
	return keys
}

const unrecorded = ""

// measured is what one path did, over all blocks.
type measured struct {
	report.PathResult

	mu  sync.Mutex
	lag *hdrhistogram.Histogram // milliseconds, plus one: 0 is out of a histogram's range
}

func newMeasured(path, cache string) *measured {
	return &measured{PathResult: report.PathResult{Path: path, Cache: cache}, lag: hdrhistogram.New(1, int64(time.Hour/time.Millisecond), 2)}
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

// block reads each key once through one path in the open model, or a few, one after the other, if the path is Scan.
func (r *runner) block(ctx context.Context, l lookup, m *measured, keys []key) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	c := engine.Config{Addr: r.Addr, TLS: r.TLS, VUsers: connections, Rate: l.rate, Arrivals: int64(len(keys)), Seed: r.Seed, Timeout: 15 * time.Second}
	least := time.Duration(float64(len(keys)) / l.rate * float64(time.Second)) // the time for which the keys are the load
	if m.Path == Scan {
		c.VUsers, c.Rate, c.Arrivals, c.Iterations = 1, 0, 0, (r.Scans+r.Blocks-1)/r.Blocks
		least = 0
	} else if len(keys) == 0 {
		m.Blocks = append(m.Blocks, report.Histogram{})
		return nil
	}
	before, err := engine.TreesCPU(r.Processes)
	if err != nil {
		return err
	}
	step := stepName(m.Path, m.Cache, l)
	result, err := engine.Run(ctx, c, func(u *engine.User) error {
		n := u.Iteration
		if c.Rate > 0 {
			n = int(u.Arrival)
		}
		u.Prepare(http.MethodGet, l.target(keys[n%len(keys)])).Header.Set("Read-Path", m.Path)
		_ = u.Do(step, func(w *fasthttp.Response) bool { // recorded as a failure
			m.seeLag(w)
			return w.StatusCode() == http.StatusOK && string(w.Header.Peek("Read-Path")) == m.Path
		})
		return nil
	})
	if err == nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err != nil || m.Cache == unrecorded {
		return err
	}
	now, err := engine.TreesCPU(r.Processes)
	for name := range now {
		r.used[name] += max(now[name]-before[name], 0) // less than before is another process of that name
	}
	r.record(m, result, step)
	r.run.Elapsed += max(result.Elapsed, least)
	return err
}

// record adds a block to what the path did.
func (r *runner) record(m *measured, part *report.Run, step string) {
	for i := range part.Errors {
		part.Errors[i].First += r.run.Elapsed
	}
	for _, s := range part.Steps {
		for i := range s.Seconds {
			s.Seconds[i].At += int(r.run.Elapsed / time.Second)
		}
	}
	r.parts = append(r.parts, part)
	m.Blocks = append(m.Blocks, part.Step(step).Total)
}

func (r *runner) add(ctx context.Context, l lookup, m *measured, all *report.Run, c *report.PathComparison) {
	s := all.Step(stepName(m.Path, m.Cache, l))
	m.OK, m.Failed, m.Latency = s.OK, s.Failed, s.Total
	if m.lag.TotalCount() > 0 {
		m.Lag = time.Duration(m.lag.ValueAtPercentile(50)-1) * time.Millisecond
	}
	if m.Cache == "warm" {
		m.Explain = r.explain(ctx, l, m.Path)
	}
	c.Paths = append(c.Paths, m.PathResult)
	r.run.Steps = append(r.run.Steps, s)
	r.run.Verdict.Add(failedRequests(m.Path, m.Cache, l), "at most 0", fmt.Sprintf("%d of %d", m.Failed, m.OK+m.Failed), m.Failed == 0 && m.OK > 0)
}
