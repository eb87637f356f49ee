package account

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/auth"
)

// checks bounds how many passwords are checked or hashed at once, how many wait for it, and what share of the
// processor they take. To keep the share, a turn stays taken for a while after its work (see rest).
type checks struct {
	share   float64       // of the cores
	places  chan struct{} // running or waiting
	running chan struct{}
	seconds prometheus.Histogram
}

// newChecks makes checks that take at most so many cores, which may be less than one.
func newChecks(cores float64, waiting int, reg prometheus.Registerer) *checks {
	atOnce := max(1, int(cores))
	c := &checks{share: min(1, cores/float64(atOnce)), places: make(chan struct{}, atOnce+waiting), running: make(chan struct{}, atOnce),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "command_password_check_seconds", Help: "Time of a password check or hash, without waiting.",
			Buckets: []float64{.01, .02, .03, .05, .1, .2, .5, 1},
		})}
	reg.MustRegister(c.seconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "command_password_checks_running", Help: "Password checks and hashes that run.",
		}, func() float64 { return float64(len(c.running)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "command_password_checks_waiting", Help: "Password checks and hashes that wait.",
		}, func() float64 { return float64(max(0, len(c.places)-len(c.running))) }))
	return c
}

// check compares a password with a hash. The caller must hold a place (enter). Its errors are those of turn and of
// auth.CheckPassword.
func (c *checks) check(ctx context.Context, hash, password string) (right bool, err error) {
	busy := c.turn(ctx, func() { right, err = auth.CheckPassword(hash, password) })
	if busy != nil {
		return false, busy
	}
	return right, err
}

// enter takes a place, which a check holds while it waits and runs, or returns ErrBusy at once.
func (c *checks) enter() (leave func(), err error) {
	select {
	case c.places <- struct{}{}:
		return func() { <-c.places }, nil
	default:
		return nil, ErrBusy
	}
}

// turn does the work as soon as running has room. If ctx ends first, it returns ErrBusy.
func (c *checks) turn(ctx context.Context, work func()) error {
	select {
	case c.running <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	start := time.Now()
	defer func() {
		took := time.Since(start)
		c.seconds.Observe(took.Seconds())
		time.AfterFunc(c.rest(took), func() { <-c.running })
	}()
	work()
	return nil
}

// rest is how long a turn stays taken after work that took so long, so that the work is c.share of the whole time.
func (c *checks) rest(took time.Duration) time.Duration {
	return time.Duration(float64(took) * (1/c.share - 1))
}
