package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// User is one virtual user. It belongs to one goroutine.
type User struct {
	// ID counts from Config.FirstUser, Iteration from 0.
	ID, Iteration int
	// Arrival is the number of the iteration over all users, from 0 (open model).
	Arrival int64
	// Rand is the user's own generator.
	Rand *rand.Rand
	// Request and Response are reused; a scenario fills the request before each Do.
	Request  *fasthttp.Request
	Response *fasthttp.Response

	ctx      context.Context
	run      *run
	intended time.Time // of the iteration's first request; zero in the closed model
}

func newUser(ctx context.Context, r *run, id int) *User {
	return &User{
		ID: id, Rand: rand.New(rand.NewPCG(r.config.Seed, uint64(id))), ctx: ctx, run: r,
		Request: fasthttp.AcquireRequest(), Response: fasthttp.AcquireResponse(),
	}
}

func (u *User) release() {
	fasthttp.ReleaseRequest(u.Request)
	fasthttp.ReleaseResponse(u.Response)
}

// Prepare empties the request and makes it one for a path (and query) of the run's server.
func (u *User) Prepare(method, path string) *fasthttp.Request {
	r, c := u.Request, &u.run.config
	r.Reset()
	r.Header.SetMethod(method)
	r.Header.SetHost(c.Addr)
	r.SetRequestURI(path)
	if c.TLS {
		r.URI().SetScheme("https")
		r.URI().SetHost(c.Addr)
	}
	return r
}

// Do sends user.Request and records the answer under the step's name. ok judges the response; nil
// takes any 2xx. A transport error is recorded as well and returned: its outcome is unknown.
func (u *User) Do(step string, ok func(*fasthttp.Response) bool) error {
	u.Response.Reset()
	start := time.Now()
	err := u.run.client.Do(u.Request, u.Response)
	if err == nil && u.run.config.DropBodies {
		err = drain(u.Response)
	}
	end := time.Now()
	from := start
	if !u.intended.IsZero() {
		from, u.intended = u.intended, time.Time{} // only the first request of an iteration has one
	}
	s := sample{step: step, service: end.Sub(start), total: end.Sub(from), at: end}
	switch {
	case err != nil:
		s.failure, s.detail = transportFailure(err), func() string { return err.Error() }
	case ok == nil && u.Response.StatusCode()/100 != 2, ok != nil && !ok(u.Response):
		s.failure, s.detail = fmt.Sprintf("status %d", u.Response.StatusCode()), func() string { return string(u.Response.Body()) }
	}
	u.run.recorder.add(u.ID, s)
	return err
}

// Running is whether the run goes on. A scenario of several requests asks before each.
func (u *User) Running() bool { return u.ctx.Err() == nil }

// Pause waits; it returns false, and early, when the run has ended.
func (u *User) Pause(d time.Duration) bool { return sleep.For(u.ctx, d) == nil }

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

// loop runs the scenario until the context, the pacer or the number of iterations ends it. Only a
// scenario's own error is returned; transport errors are recorded by Do.
func (u *User) loop(scenario Scenario) error {
	for ; u.run.config.Iterations == 0 || u.Iteration < u.run.config.Iterations; u.Iteration++ {
		if !u.run.pace.wait(u.ctx, u) {
			return nil
		}
		if u.Iteration == 0 {
			u.run.active.Add(1)
			defer u.run.active.Add(-1)
		}
		if err := scenario(u); err != nil {
			return fmt.Errorf("user %d, iteration %d: %w", u.ID, u.Iteration, err)
		}
	}
	return nil
}
