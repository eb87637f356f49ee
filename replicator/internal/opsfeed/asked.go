package opsfeed

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// ErrComparing is returned while a comparison that was asked for is under way.
var ErrComparing = errors.New("a comparison that was asked for is under way")

// askedDetails is how many keys the answer names.
const askedDetails = 20

// Comparison makes the comparisons that operators ask for, one at a time. It works while Run does.
type Comparison struct {
	verifier *verify.Verifier
	begin    chan bool // repair
	tell     func(kind opspage.Kind, args ...any)

	mu    sync.Mutex
	asked *opspage.Asked
}

// NewComparison makes one. tell is told what was asked for and what came of it.
func NewComparison(v *verify.Verifier, tell func(kind opspage.Kind, args ...any)) *Comparison {
	return &Comparison{verifier: v, begin: make(chan bool, 1), tell: tell}
}

// Ask begins a comparison of everything, with repair if it is to mend what differs. The error is ErrComparing.
func (c *Comparison) Ask(repair bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked != nil && c.asked.Running {
		return ErrComparing
	}
	c.asked = &opspage.Asked{Repair: repair, Running: true}
	c.begin <- repair // never waits, because only one runs
	return nil
}

// Run makes what is asked for until ctx ends, and closes the verifier.
func (c *Comparison) Run(ctx context.Context) error {
	for {
		select {
		case repair := <-c.begin:
			c.compare(ctx, repair)
		case <-ctx.Done():
			return c.verifier.Close()
		}
	}
}

func (c *Comparison) compare(ctx context.Context, repair bool) {
	what := "a comparison of everything"
	if repair {
		what = "a comparison of everything and the repair of what differs"
	}
	c.tell(opspage.Asks, what)
	report, err := c.verifier.Run(ctx, verify.Options{Scope: verify.Everything, Repair: repair, Details: askedDetails, Progress: c.progress})
	level, result := outcome(report, err)
	c.change(func(a *opspage.Asked) { a.Running, a.Level, a.Result = false, level, result })
	c.tell(opspage.Answered, result)
}

func outcome(r verify.Report, err error) (opspage.Level, string) {
	switch {
	case err != nil:
		return opspage.Doubt, "it did not come to its end: " + err.Error()
	case r.Divergent == 0:
		return opspage.Good, fmt.Sprintf("all %s keys are as the primary has them.", progress.Grouped(r.Keys))
	}
	level := opspage.Bad
	if r.Repaired == r.Divergent {
		level = opspage.Good
	}
	text := fmt.Sprintf("%s of %s keys differed, %s repaired", progress.Grouped(int64(r.Divergent)), progress.Grouped(r.Keys), progress.Grouped(int64(r.Repaired)))
	if len(r.Findings) > 0 {
		text += "; the first: " + r.Findings[0].String()
	}
	return level, text
}

func (c *Comparison) progress(step string, done, total int64) {
	c.change(func(a *opspage.Asked) { a.Step, a.Done, a.Total = step, done, total })
}

// change replaces the state, because a report may still hold the one before.
func (c *Comparison) change(f func(*opspage.Asked)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := *c.asked
	f(&now)
	c.asked = &now
}

// State is the running or last comparison; nil: none was asked for.
func (c *Comparison) State() *opspage.Asked {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}
