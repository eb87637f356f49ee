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
	reg.MustRegister(m.tries, m.open)
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
