package project

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// repairs tells what was lost, poisoned and mended.
type repairs struct {
	log                            *slog.Logger
	lost, poisoned, reloads, fails *prometheus.CounterVec
	reloading, spoiled             prometheus.Gauge
}

func newRepairs(log *slog.Logger, reg prometheus.Registerer) *repairs {
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "replicator_" + name, Help: help}, []string{label})
	}
	m := &repairs{
		log:      log,
		lost:     counters("lost_parts_total", "Parts of the read model whose keys were found to be lost when they were written to, by kind.", "part"),
		poisoned: counters("poisoned_rows_total", "Rows that the read model can't hold, by table.", "table"),
		reloads:  counters("reloads_total", "Parts of the read model that were loaded anew, by kind.", "part"),
		fails:    counters("reload_failures_total", "Reloads of a part that were given up and tried again, by kind.", "part"),
		reloading: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "replicator_reloading_parts", Help: "Parts of the read model that wait to be loaded anew; SQL answers for them."}),
		spoiled: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "replicator_poisoned_parts", Help: "Parts of the read model that lack a row which it can't hold; SQL answers for them."}),
	}
	reg.MustRegister(m.lost, m.poisoned, m.reloads, m.fails, m.reloading, m.spoiled)
	return m
}

// kindOf labels a metric.
func kindOf(p readmodel.Part) string {
	switch {
	case p.Raffle != 0:
		return "raffle"
	case p.Size != 0:
		return "size"
	}
	return "lists"
}

func (m *repairs) poisonFound(p poison) {
	m.poisoned.WithLabelValues(rowKinds[p.table]).Inc()
	m.log.Error("a row does not fit the read model: SQL answers for what it belongs to until it is put right",
		"part", p.name, "table", p.table.String(), "row", p.row, "error", p.err)
}

// noteLost has parts that were found to be lost reloaded. Nobody reads them meanwhile: they lack sentinels.
func (a *applier) noteLost(names []string) error {
	var parts []readmodel.Part
	for _, name := range names {
		p, err := readmodel.ParsePart(name)
		if err != nil {
			return err
		}
		if a.pending[p] {
			continue
		}
		a.pending[p] = true
		parts = append(parts, p)
		a.repairs.lost.WithLabelValues(kindOf(p)).Inc()
		a.repairs.log.Error("a part of the read model was lost: it is loaded anew, and SQL answers for it meanwhile", "part", name)
	}
	if len(parts) == 0 {
		return nil
	}
	return a.write(a.checkpoint, func(c *resp.Commands) {
		for _, p := range parts {
			c.Add("SADD", readmodel.ReloadKey, p.String())
		}
	})
}
