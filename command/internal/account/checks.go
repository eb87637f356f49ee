package account

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/auth"
)

// checks bounds how many passwords are checked at once and how many wait for it.
type checks struct {
	places  chan struct{} // running or waiting
	running chan struct{}
	seconds prometheus.Histogram
}

func newChecks(atOnce, waiting int, reg prometheus.Registerer) *checks {
	c := &checks{places: make(chan struct{}, atOnce+waiting), running: make(chan struct{}, atOnce),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "argon2_check_seconds", Help: "Time of a password check, without waiting.",
			Buckets: []float64{.01, .02, .03, .05, .1, .2, .5, 1},
		})}
	reg.MustRegister(c.seconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "argon2_running", Help: "Password checks that run.",
		}, func() float64 { return float64(len(c.running)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "argon2_waiting", Help: "Password checks that wait.",
		}, func() float64 { return float64(max(0, len(c.places)-len(c.running))) }))
	return c
}

// check compares a password with a hash when it is its turn, or returns ErrBusy: at once if too many
// wait, or when ctx ends first.
func (c *checks) check(ctx context.Context, hash, password string) (bool, error) {
	select {
	case c.places <- struct{}{}:
		defer func() { <-c.places }()
	default:
		return false, ErrBusy
	}
	select {
	case c.running <- struct{}{}:
		defer func() { <-c.running }()
	case <-ctx.Done():
		return false, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	start := time.Now()
	right, err := auth.CheckPassword(hash, password)
	c.seconds.Observe(time.Since(start).Seconds())
	return right, err
}
