package bidbook

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	tries    *prometheus.HistogramVec
	answered map[Path]prometheus.Observer // the answered ones among tries, looked up once
	open     *prometheus.GaugeVec
	up, lag  *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		tries: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "query_path_duration_seconds", Help: "Time that one path took, waiting included, by how it ended.",
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5},
		}, []string{"path", "result"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "query_path_breaker_open", Help: "1 while a path is spared after failures.",
		}, []string{"path"}),
	}
	m.up = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "query_path_up", Help: "1 if the path answered when it was asked last. Redis is asked all the time, the others every second, and every 4 s while they do not answer.",
	}, []string{"path"})
	m.lag = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "query_path_lag_seconds", Help: "How far a path was behind the primary when it was asked last (Read-Lag-Ms). Missing while the path does not answer.",
	}, []string{"path"})
	reg.MustRegister(m.tries, m.open, m.up, m.lag)
	m.answered = map[Path]prometheus.Observer{}
	for _, p := range []Path{PathRedis, PathReplica, PathStandby, PathPrimary, PathScan} {
		m.answered[p] = m.tries.WithLabelValues(string(p), result(nil))
	}
	return m
}

func (m *metrics) observe(p Path, took time.Duration, err error) {
	if err == nil {
		m.answered[p].Observe(took.Seconds())
		return
	}
	m.tries.WithLabelValues(string(p), result(err)).Observe(took.Seconds())
}

// probed notes what a question for a path's position has shown.
func (m *metrics) probed(p Path, at Position, err error) {
	if err != nil {
		m.up.WithLabelValues(string(p)).Set(0)
		m.lag.DeleteLabelValues(string(p))
		return
	}
	m.up.WithLabelValues(string(p)).Set(1)
	m.lag.WithLabelValues(string(p)).Set(float64(at.LagMillis) / 1000)
}

func (m *metrics) setOpen(p Path, open bool) {
	value := 0.0
	if open {
		value = 1
	}
	m.open.WithLabelValues(string(p)).Set(value)
}

func result(err error) string {
	switch {
	case err == nil, errors.Is(err, ErrNotFound):
		return "answered"
	case errors.Is(err, ErrBehind):
		return "behind"
	case errors.Is(err, ErrIncomplete):
		return "incomplete"
	case errors.Is(err, ErrCircuitOpen):
		return "spared"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, ErrBusy):
		return "busy"
	}
	return "failed"
}
