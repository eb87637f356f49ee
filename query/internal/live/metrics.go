package live

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	subscribers *prometheus.GaugeVec
	events      prometheus.Counter
	dropped     *prometheus.CounterVec
	resets      *prometheus.CounterVec
	refused     *prometheus.CounterVec
	unreadable  prometheus.Counter
	lag         prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		subscribers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "query_live_subscribers", Help: "Subscribers of the live feed.",
		}, []string{"transport"}),
		events: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "query_live_events_total", Help: "Events read for raffles that have subscribers.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "query_live_dropped_total", Help: "Subscribers that were too slow and were cut off, and sessions that polled and sent too much.",
		}, []string{"transport"}),
		resets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "query_live_resets_total", Help: "Resets sent: subscribers that had to read again.",
		}, []string{"transport"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "query_live_refused_total", Help: "Subscribers and sessions that found no room, or no database, and were told to come back.",
		}, []string{"transport"}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "query_live_unreadable_total", Help: "Stream entries, and streams, that could not be read: their raffle's feed was reset.",
		}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "query_live_delivery_seconds", Help: "From a bid's created_at to its write to a subscriber: the oldest bid of each write.",
			Buckets: []float64{.005, .01, .025, .05, .1, .15, .25, .5, 1, 2.5, 10},
		}),
	}
	for _, transport := range []string{"sse", "socket.io"} {
		m.subscribers.WithLabelValues(transport)
		for _, counter := range []*prometheus.CounterVec{m.dropped, m.resets, m.refused} {
			counter.WithLabelValues(transport)
		}
	}
	reg.MustRegister(m.subscribers, m.events, m.dropped, m.resets, m.refused, m.unreadable, m.lag)
	return m
}
