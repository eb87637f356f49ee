package primary

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ connected, timeline prometheus.Gauge }

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "query_primary_connected", Help: "1 while the primary answers the watch.",
		}),
		timeline: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "query_primary_timeline", Help: "Timeline of the last primary that was seen.",
		}),
	}
	reg.MustRegister(m.connected, m.timeline)
	return m
}

func (m metrics) show(s *State) {
	m.connected.Set(0)
	if s.Connected {
		m.connected.Set(1)
	}
	m.timeline.Set(float64(s.History.Present()))
}
