package redisbook

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
)

// health is what Redis says about itself, as metrics.
type health struct {
	up, memory, memoryMax, evicted, durable, file, loading prometheus.Gauge
}

func newHealth(reg prometheus.Registerer) *health {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "query_redis_" + name, Help: help})
		reg.MustRegister(g)
		return g
	}
	return &health{
		up:        gauge("up", "1 if Redis answered when it was asked last, which is every second."),
		memory:    gauge("memory_used_bytes", "Memory that Redis uses."),
		memoryMax: gauge("memory_max_bytes", "Memory that Redis may use; 0: all that there is."),
		evicted:   gauge("evicted_keys", "Keys that this run of Redis has evicted, which must be none."),
		durable:   gauge("durable", "1 while Redis has an append-only file and the last writes and rewrites of it succeeded."),
		file:      gauge("aof_size_bytes", "Size of the append-only file."),
		loading:   gauge("loading", "1 while Redis loads its append-only file after a start and answers nothing."),
	}
}

// show notes an answer of INFO.
func (h *health) show(info redisinfo.Info) {
	h.up.Set(1)
	for gauge, field := range map[prometheus.Gauge]string{
		h.memory: "used_memory", h.memoryMax: "maxmemory", h.evicted: "evicted_keys", h.file: "aof_current_size", h.loading: "loading",
	} {
		gauge.Set(float64(info.Number(field)))
	}
	durable := 0.0 // set once, because a scrape may come at any time
	if info.Number("aof_enabled") == 1 && info["aof_last_write_status"] == "ok" && info["aof_last_bgrewrite_status"] == "ok" {
		durable = 1
	}
	h.durable.Set(durable)
}

// pipelines are the metrics of the pipelines in which lookups go to Redis.
type pipelines struct{ lookups, weight *prometheus.HistogramVec }

func newPipelines(reg prometheus.Registerer) *pipelines {
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "query_pipeline_" + name, Help: help, Buckets: buckets}, []string{"queue"})
		reg.MustRegister(h)
		return h
	}
	return &pipelines{
		lookups: histogram("lookups", "Lookups that one pipeline to Redis answered, by queue.", prometheus.ExponentialBuckets(1, 4, 7)),
		weight:  histogram("weight", "Weight of one pipeline to Redis, in rows of replies (0.1 us each), by queue.", prometheus.ExponentialBuckets(16, 4, 7)),
	}
}

// sent returns the function that notes a pipeline of a queue.
func (p *pipelines) sent(queue string) func(lookups, weight int) {
	lookups, weights := p.lookups.WithLabelValues(queue), p.weight.WithLabelValues(queue)
	return func(n, weight int) {
		lookups.Observe(float64(n))
		weights.Observe(float64(weight))
	}
}
