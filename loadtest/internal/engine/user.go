package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// User is one virtual user. It belongs to one goroutine.
type User struct {
	// ID counts from Config.FirstUser, Iteration from 0.
	ID, Iteration int
	// Arrival is the number of the iteration over all users of all generators, from 0 (open model).
	Arrival int64
	// Rand is the user's own generator.
	Rand *rand.Rand
	// Request and Response are reused; a scenario fills the request before each Do.
	Request  *fasthttp.Request
	Response *fasthttp.Response

	ctx       context.Context
	run       *run
	client    doer
	closeIdle func()
	dialed    atomic.Int64 // what the request under way waited for a connection; net/http may dial after its end
	last      sample       // what was recorded last
	intended  time.Time    // of the iteration's first request; zero in the closed model
}

// newUser makes a user with a connection of its own, unless all share one client.
func newUser(ctx context.Context, r *run, id int) *User {
	u := &User{
		ID: id, Rand: rand.New(rand.NewPCG(r.config.Seed, uint64(id))), ctx: ctx, run: r, client: r.shared, closeIdle: func() {},
		Request: fasthttp.AcquireRequest(), Response: fasthttp.AcquireResponse(),
	}
	if u.client == nil {
		u.client, u.closeIdle = newClient(r.config, 1, u.dial)
	}
	return u
}

func (u *User) release() {
	fasthttp.ReleaseRequest(u.Request)
	fasthttp.ReleaseResponse(u.Response)
	u.closeIdle()
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

// StepConnect is the name of the step that counts the connections of users who have one of their own.
const StepConnect = "connect"

// dial opens the user's TCP connection and records how long that took.
func (u *User) dial(network, addr string, timeout time.Duration) (net.Conn, error) {
	start := time.Now()
	conn, err := net.DialTimeout(network, addr, timeout)
	end := time.Now()
	u.dialed.Add(int64(end.Sub(start)))
	s := sample{step: StepConnect, part: true, service: end.Sub(start), total: end.Sub(start), at: end}
	if err != nil {
		s.failure, s.detail = transportFailure(err), err.Error
	}
	u.run.recorder.add(u.ID, s)
	return conn, err
}

// Do sends user.Request and records the answer under the step's name. ok judges the response; nil
// takes any 2xx. A transport error is recorded as well and returned: its outcome is unknown. The first request of an
// iteration counts from its intended start.
func (u *User) Do(step string, ok func(*fasthttp.Response) bool) error {
	return u.send(sample{step: step}, u.begin(), ok)
}

// begin is the moment from which the user waits for what it asks for next.
func (u *User) begin() time.Time {
	if from := u.intended; !from.IsZero() {
		u.intended = time.Time{} // only the first request of an iteration has one
		return from
	}
	return time.Now()
}

// send completes and records a sample of one request. The time in which a connection was opened is part of the total
// only.
func (u *User) send(s sample, from time.Time, ok func(*fasthttp.Response) bool) error {
	u.Response.Reset()
	u.dialed.Store(0)
	start := time.Now()
	err := u.client.Do(u.Request, u.Response)
	if err == nil && u.run.config.DropBodies {
		err = drain(u.Response)
	}
	s.at = time.Now()
	s.service, s.total = max(0, s.at.Sub(start)-time.Duration(u.dialed.Load())), s.at.Sub(from)
	switch {
	case err != nil:
		s.failure, s.detail = transportFailure(err), err.Error
	case u.Response.StatusCode()/100 == 2 && ok != nil && !ok(u.Response):
		s.failure, s.detail = fmt.Sprintf("wrong answer with status %d", u.Response.StatusCode()), func() string { return u.Response.Header.String() + string(u.Response.Body()) }
	case u.Response.StatusCode()/100 != 2 && (ok == nil || !ok(u.Response)):
		s.failure, s.detail = fmt.Sprintf("status %d", u.Response.StatusCode()), func() string { return string(u.Response.Body()) }
	}
	u.last = s
	u.run.recorder.add(u.ID, s)
	return err
}

// Again records the last request under another step's name, too, which sums leave out.
func (u *User) Again(step string) {
	s := u.last
	s.step, s.part = step, true
	u.run.recorder.add(u.ID, s)
}

// Wish is what a user waits for until it is answered for good, in as many attempts as that takes.
type Wish struct {
	user *User
	step string
	from time.Time // the intended start
	sent time.Time // the first attempt
}

// Wish begins a wish, which counts under the step's name. It ends with Granted or Failed.
func (u *User) Wish(step string) Wish {
	w := Wish{user: u, step: step, from: u.begin()}
	w.sent = time.Now()
	return w
}

// Attempt is Do for one attempt of the wish. It counts under a name of its own, which is left out of sums.
func (w Wish) Attempt(ok func(*fasthttp.Response) bool) error {
	return w.user.send(sample{step: w.step + ", attempts", part: true}, time.Now(), ok)
}

// As is the same wish under another step's name.
func (w Wish) As(step string) Wish {
	w.step = step
	return w
}

// Granted records that the user has what it wished for.
func (w Wish) Granted() { w.end("", nil) }

// Failed records that the user gave up, and why: one of few kinds, and a detail that is called for the first of a kind.
func (w Wish) Failed(kind string, detail func() string) { w.end(kind, detail) }

func (w Wish) end(failure string, detail func() string) {
	end := time.Now()
	w.user.run.recorder.add(w.user.ID, sample{step: w.step, failure: failure, detail: detail,
		service: end.Sub(w.sent), total: end.Sub(w.from), at: end})
}

// Running is whether the run goes on. A scenario of several requests asks before each.
func (u *User) Running() bool { return u.ctx.Err() == nil }

// Pause waits; it returns false, and early, when the run has ended.
func (u *User) Pause(d time.Duration) bool { return sleep.For(u.ctx, d) == nil }

// Rest pauses also if the run has ended, and returns the time.
func (u *User) Rest(d time.Duration) time.Time {
	timer := time.NewTimer(d)
	return <-timer.C
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

// loop runs the scenario until the context, the pacer or the number of iterations ends it. Only a
// scenario's own error is returned; transport errors are recorded by Do.
func (u *User) loop(scenario Scenario) error {
	for ; u.run.config.Iterations == 0 || u.Iteration < u.run.config.Iterations; u.Iteration++ {
		if !u.run.pace.wait(u.ctx, u) {
			return nil
		}
		if u.Iteration == 0 {
			u.run.started.Add(1)
			u.run.active.Add(1)
			defer u.run.active.Add(-1)
		}
		if err := scenario(u); err != nil {
			return fmt.Errorf("user %d, iteration %d: %w", u.ID, u.Iteration, err)
		}
	}
	return nil
}
