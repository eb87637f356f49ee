package primary

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ connected, timeline, started prometheus.Gauge }

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "query_primary_connected", Help: "1 while the primary answers the watch.",
		}),
		timeline: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "query_primary_timeline", Help: "Timeline of the last primary that was seen.",
		}),
		started: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "query_primary_start_time_seconds", Help: "When the last primary that was seen was started, by its own clock. No read after that is answered from another history.",
		}),
	}
	reg.MustRegister(m.connected, m.timeline, m.started)
	return m
}

func (m metrics) show(s *State) {
	connected := 0.0 // set once, because a scrape may come at any time
	if s.Connected {
		connected = 1
	}
	m.connected.Set(connected)
	m.timeline.Set(float64(s.History.Present()))
	m.started.Set(float64(s.started) / 1e6)
}
