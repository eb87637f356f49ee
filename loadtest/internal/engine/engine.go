// Package engine is the load generator: one goroutine per virtual user on fasthttp, and a recorder that keeps
// every latency in HDR histograms, also of failed requests. In the closed model a user sends its next request when the
// last one was answered. In the open model each iteration has an intended start, however slow the answers are, and the
// latency of its first request counts from that start, so that a stalled server can't hide its stall. What a user gets
// only after several attempts is a Wish, which counts from the same start to the last answer.
package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// Config says how much load to make. Duration, Iterations or Arrivals bounds it. If several are set, the run
// ends at the first that it reaches.
type Config struct {
	// Addr is host:port of the server, TLS whether to speak TLS to it.
	Addr string
	TLS  bool
	// Client is ClientFast (the default) or ClientNet.
	Client string
	// VUsers is the number of virtual users; each has at most one request under way. Their numbers count
	// from FirstUser, so that several generators have different ones.
	VUsers, FirstUser int
	// Iterations is how often each user runs the scenario; 0: until Duration.
	Iterations int
	// Duration bounds the run.
	Duration time.Duration
	// Rate is the number of scenario starts per second over all users (open model); 0: closed model.
	Rate float64
	// Stages are a rate that changes (open model). Duration is then theirs.
	Stages Stages
	// Part of Parts is this generator's share of the arrivals: Part, Part+Parts and so on, from 0. No Parts: all.
	Part, Parts int
	// Arrivals is the number of scenario starts in the open model; 0: no bound.
	Arrivals int64
	// RampUp spreads the first starts of the users evenly (closed model).
	RampUp time.Duration
	// ShareConnections lets the users send over one pool of connections. Otherwise each has a connection of its own, as
	// people have.
	ShareConnections bool
	// Timeout bounds one request. Default 10 s.
	Timeout time.Duration
	// DropBodies reads answers to their end without keeping them: Response.Body is then empty. It is meant for
	// large answers, because each user would keep the largest answer that it has seen.
	DropBodies bool
	// Start is when the first user starts; zero or past: at once.
	Start time.Time
	// Seed makes the users' random numbers repeatable.
	Seed uint64
	// Steady is the number of requests in an iteration, if it is always the same. The progress of a run that is
	// bounded by iterations is computed from it.
	Steady int
	// Progress, if not nil, is told once a second how far the run is.
	Progress func(report.Progress)
	// Lag, if not nil, is asked twice a second for the read model's lag in milliseconds. An error
	// leaves a gap in the series.
	Lag func(context.Context) (float64, error)
}

const defaultTimeout = 10 * time.Second

// Scenario is what a virtual user does in one iteration, through user.Do.
type Scenario func(user *User) error

// Run makes the load and returns what was recorded: steps, errors, samples, users and arrivals. Cancelling the context ends it gracefully: requests
// under way are finished and counted.
func Run(ctx context.Context, c Config, scenario Scenario) (*report.Run, error) {
	if len(c.Stages) > 0 {
		c.Duration = c.Stages.Length()
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if sleep.Until(ctx, c.Start) != nil {
		return nil, context.Cause(ctx)
	}
	before, start := SelfCPU(), time.Now()
	if c.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, start.Add(c.Duration))
		defer cancel()
	}
	r := &run{config: c, recorder: newRecorder(c.VUsers, start), pace: newPacer(c, start)}
	defer context.AfterFunc(ctx, r.pace.end)()
	if c.ShareConnections {
		shared, closeIdle := newClient(c, c.VUsers, net.DialTimeout)
		defer closeIdle()
		r.shared = shared
	}
	watch := startWatch(ctx, r, start)
	err := r.users(ctx, scenario)
	elapsed, used := time.Since(start), SelfCPU()-before
	samples := watch.stop()
	result, unmerged := r.recorder.report()
	if unmerged != nil {
		return nil, unmerged
	}
	result.Elapsed, result.Generator.CPU, result.Samples = elapsed, used, samples
	result.Users, result.Arrivals = report.Users{Asked: c.VUsers, Started: int(r.started.Load())}, r.pace.count(elapsed)
	return result, err
}

// run is what the users of one run share.
type run struct {
	config          Config
	shared          doer // nil if each user has its own
	recorder        *Recorder
	pace            *pacer
	active, started atomic.Int64 // users
}

func (r *run) users(ctx context.Context, scenario Scenario) error {
	var wg sync.WaitGroup
	errs := make(chan error, r.config.VUsers)
	for id := range r.config.VUsers {
		wg.Go(func() {
			user := newUser(ctx, r, r.config.FirstUser+id)
			defer user.release()
			errs <- user.loop(scenario)
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err // one of thousands that may be the same
		}
	}
	return nil
}

// Check reports everything that is wrong.
func (c Config) Check() error {
	var errs []error
	if c.VUsers < 1 {
		errs = append(errs, errors.New("there must be at least one virtual user"))
	}
	if c.Duration <= 0 && c.Iterations <= 0 && c.Arrivals <= 0 {
		errs = append(errs, errors.New("a run needs a duration, or a number of iterations or arrivals"))
	}
	if c.Arrivals > 0 && c.Rate <= 0 {
		errs = append(errs, errors.New("a number of arrivals needs a rate"))
	}
	if c.Rate < 0 || c.Rate > 0 && len(c.Stages) > 0 {
		errs = append(errs, errors.New("the rate can't be negative, and stages exclude it"))
	}
	switch c.Client {
	case "", ClientFast, ClientNet:
	default:
		errs = append(errs, fmt.Errorf("the client is %q, want %s or %s", c.Client, ClientFast, ClientNet))
	}
	return errors.Join(errs...)
}
