// Package engine is the load generator: one goroutine per virtual user on fasthttp, and a recorder that
// keeps every latency in HDR histograms. In the closed model a user sends its next request when the
// last was answered; in the open model requests have intended starts, whatever the answers do, and a
// latency counts from the intended start, so that a stalled server can't hide its stall.
package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Config says how much load to make. Duration or Iterations bounds it; with both, the first reached does.
type Config struct {
	// Addr is host:port of the server.
	Addr string
	// VUsers is the number of virtual users; each has at most one request under way.
	VUsers int
	// Iterations is how often each user runs the scenario; 0: until Duration.
	Iterations int
	// Duration bounds the run.
	Duration time.Duration
	// Rate is the number of scenario starts per second over all users (open model); 0: closed model.
	Rate float64
	// RampUp spreads the first starts of the users evenly (closed model).
	RampUp time.Duration
	// Timeout bounds one request. Default 10 s.
	Timeout time.Duration
	// Seed makes the users' random numbers repeatable.
	Seed uint64
}

// Scenario is what a virtual user does in one iteration, through user.Do.
type Scenario func(user *User) error

// User is one virtual user. It belongs to one goroutine.
type User struct {
	// ID counts from 0, Iteration from 0.
	ID, Iteration int
	// Rand is the user's own generator.
	Rand *rand.Rand
	// Request and Response are reused; a scenario fills the request before each Do.
	Request  *fasthttp.Request
	Response *fasthttp.Response

	client   *fasthttp.HostClient
	recorder *Recorder
	intended time.Time // of the iteration's first request; zero in the closed model
}

// Do sends user.Request and records the answer under the step's name. ok judges the response; nil
// takes any 2xx. A transport error is recorded as well and returned: its outcome is unknown.
func (u *User) Do(step string, ok func(*fasthttp.Response) bool) error {
	u.Response.Reset()
	start := time.Now()
	err := u.client.Do(u.Request, u.Response)
	end := time.Now()
	from := start
	if !u.intended.IsZero() {
		from, u.intended = u.intended, time.Time{} // only the first request of an iteration has one
	}
	s := sample{step: step, service: end.Sub(start), total: end.Sub(from), at: end}
	switch {
	case err != nil:
		s.failure = transportFailure(err)
	case ok == nil && u.Response.StatusCode()/100 != 2, ok != nil && !ok(u.Response):
		s.failure = fmt.Sprintf("status %d", u.Response.StatusCode())
	}
	u.recorder.add(u.ID, s)
	return err
}

func transportFailure(err error) string {
	var network net.Error
	switch {
	case errors.Is(err, fasthttp.ErrTimeout), errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.Is(err, fasthttp.ErrNoFreeConns):
		return "no free connection"
	case errors.Is(err, fasthttp.ErrConnectionClosed):
		return "connection closed"
	}
	return "transport error"
}

// Run makes the load and returns what was recorded. Cancelling the context ends it gracefully: requests
// under way are finished and counted.
func Run(ctx context.Context, c Config, scenario Scenario) (*Report, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	client := newClient(c)
	defer client.CloseIdleConnections()
	recorder := newRecorder(c.VUsers)
	if c.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Duration)
		defer cancel()
	}
	before, start := SelfCPU(), time.Now()
	pace := newPacer(c, start)
	var wg sync.WaitGroup
	errs := make(chan error, c.VUsers)
	for id := range c.VUsers {
		wg.Go(func() {
			user := newUser(c, id, client, recorder)
			defer user.release()
			errs <- user.loop(ctx, pace, c.Iterations, scenario)
		})
	}
	wg.Wait()
	close(errs)
	var err error
	for e := range errs {
		err = errors.Join(err, e)
	}
	report := recorder.report()
	report.Elapsed, report.GeneratorCPU = time.Since(start), SelfCPU()-before
	return report, err
}

func (c Config) check() error {
	var errs []error
	if c.VUsers < 1 {
		errs = append(errs, errors.New("there must be at least one virtual user"))
	}
	if c.Duration <= 0 && c.Iterations <= 0 {
		errs = append(errs, errors.New("a run needs a duration or a number of iterations"))
	}
	if c.Rate < 0 {
		errs = append(errs, errors.New("the rate can't be negative"))
	}
	return errors.Join(errs...)
}

func newClient(c Config) *fasthttp.HostClient {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	return &fasthttp.HostClient{
		ReadTimeout: timeout, WriteTimeout: timeout,
		Addr: c.Addr, MaxConns: c.VUsers, MaxIdleConnDuration: time.Minute,
		// A bid sent twice would be the generator's own fault.
		MaxIdemponentCallAttempts:     1,
		RetryIfErr:                    func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
		NoDefaultUserAgentHeader:      true,
		DisablePathNormalizing:        true,
		DisableHeaderNamesNormalizing: true,
		ReadBufferSize:                4096, WriteBufferSize: 4096,
	}
}

func newUser(c Config, id int, client *fasthttp.HostClient, recorder *Recorder) *User {
	return &User{
		ID: id, Rand: rand.New(rand.NewPCG(c.Seed, uint64(id))), client: client, recorder: recorder,
		Request: fasthttp.AcquireRequest(), Response: fasthttp.AcquireResponse(),
	}
}

func (u *User) release() {
	fasthttp.ReleaseRequest(u.Request)
	fasthttp.ReleaseResponse(u.Response)
}

// loop runs the scenario until the context, the pacer or the number of iterations ends it. Only a
// scenario's own error is returned; transport errors are recorded by Do.
func (u *User) loop(ctx context.Context, pace *pacer, iterations int, scenario Scenario) error {
	for ; iterations == 0 || u.Iteration < iterations; u.Iteration++ {
		intended, more := pace.wait(ctx, u.ID, u.Iteration)
		if !more {
			return nil
		}
		u.intended = intended
		if err := scenario(u); err != nil {
			return fmt.Errorf("user %d, iteration %d: %w", u.ID, u.Iteration, err)
		}
	}
	return nil
}
