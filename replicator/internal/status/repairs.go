package status

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
)

// Repairs reports, in the log and in metrics, what was lost, poisoned and reloaded.
type Repairs struct {
	log                             *slog.Logger
	lost, poisoned, reloaded, fails *prometheus.CounterVec
	waiting, spoiled                prometheus.Gauge
	listener                        Listener
}

// NewRepairs makes the metrics and registers them.
func NewRepairs(log *slog.Logger, reg prometheus.Registerer) *Repairs {
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "replicator_" + name, Help: help}, []string{label})
	}
	m := &Repairs{
		log:      log,
		lost:     counters("lost_parts_total", "Parts of the read model whose keys were found to be lost when they were written to, by kind.", "part"),
		poisoned: counters("poisoned_rows_total", "Rows that the read model can't hold, by table.", "table"),
		reloaded: counters("reloads_total", "Parts of the read model that were loaded anew, by kind.", "part"),
		fails:    counters("reload_failures_total", "Reloads of a part that were given up and tried again, by kind.", "part"),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "replicator_reloading_parts", Help: "Parts of the read model that wait to be loaded anew; SQL answers for them."}),
		spoiled: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "replicator_poisoned_parts", Help: "Parts of the read model that lack a row which it can't hold; SQL answers for them."}),
	}
	for t := tables.Bids; t <= tables.Products; t++ {
		m.poisoned.WithLabelValues(t.Kind())
	}
	for _, part := range []readmodel.Part{{Raffle: 1}, {Size: 1}, {}} {
		for _, counter := range []*prometheus.CounterVec{m.lost, m.reloaded, m.fails} {
			counter.WithLabelValues(kindOf(part))
		}
	}
	reg.MustRegister(m.lost, m.poisoned, m.reloaded, m.fails, m.waiting, m.spoiled)
	return m
}

// kindOf is the label of a part in metrics.
func kindOf(p readmodel.Part) string {
	switch {
	case p.Raffle != 0:
		return "raffle"
	case p.Size != 0:
		return "size"
	}
	return "lists"
}

// Poisoned reports a row without a packing. part is the name, in readmodel.PoisonedKey, of what lacks the row.
func (m *Repairs) Poisoned(part string, t tables.Table, row int64, err error) {
	m.poisoned.WithLabelValues(t.Kind()).Inc()
	tell(m.listener.Poisoned, part)
	m.log.Error("a row does not fit the read model: SQL answers for what it belongs to until it is put right",
		"part", part, "table", t.String(), "row", row, "error", err)
}

// Lost reports a part that lacks a key which it must have.
func (m *Repairs) Lost(p readmodel.Part) {
	m.lost.WithLabelValues(kindOf(p)).Inc()
	tell(m.listener.Lost, p.String())
	m.log.Error("a part of the read model was lost: it is loaded anew, and SQL answers for it meanwhile", "part", p.String())
}

// Waiting sets the number of parts that wait for a reload.
func (m *Repairs) Waiting(parts int) { m.waiting.Set(float64(parts)) }

// Spoiled sets the number of parts that lack a row without a packing.
func (m *Repairs) Spoiled(parts int64) { m.spoiled.Set(float64(parts)) }

// Reloaded counts a reload of a part that succeeded or failed.
func (m *Repairs) Reloaded(p readmodel.Part, well bool) {
	if well {
		m.reloaded.WithLabelValues(kindOf(p)).Inc()
	} else {
		m.fails.WithLabelValues(kindOf(p)).Inc()
	}
	if m.listener.Reloaded != nil {
		m.listener.Reloaded(p.String(), well)
	}
}
