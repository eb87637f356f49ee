package status

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
)

// Metrics are the metrics of the stream and of rebuilds. The parts of the replicator write them.
type Metrics struct {
	Rows, Rebuilds, errors *prometheus.CounterVec
	Transactions           prometheus.Counter
	Flush                  prometheus.Histogram
	Changes                prometheus.Histogram
	lsn, Confirmed         prometheus.Gauge
	Retained               prometheus.Gauge
	RebuildRows, Expected  prometheus.Gauge
	state, phase           *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer, b *Board) *Metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "replicator_" + name, Help: help})
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "replicator_" + name, Help: help}, []string{label})
	}
	m := &Metrics{
		Rows:     counters("rows_total", "Row changes applied, by table.", "table"),
		Rebuilds: counters("rebuilds_total", "Rebuilds begun, by reason.", "reason"),
		errors:   counters("errors_total", "Errors that ended a session, by kind.", "kind"),
		Transactions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "replicator_transactions_total", Help: "Transactions applied."}),
		Flush: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "replicator_flush_seconds", Help: "Time of one flush to Redis.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14)}),
		Changes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "replicator_flush_changes", Help: "Row changes in one flush.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8)}),
		lsn:         gauge("checkpoint_lsn", "Position of the checkpoint in Redis, in bytes."),
		Confirmed:   gauge("confirmed_lsn", "Position confirmed to the slot, in bytes."),
		Retained:    gauge("slot_retained_bytes", "WAL that the primary keeps for the slot."),
		RebuildRows: gauge("rebuild_rows", "Rows that the running or last rebuild has written."),
		Expected:    gauge("rebuild_expected_rows", "Rows that the running or last rebuild expects."),
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "replicator_state", Help: "1 for the state that the replicator is in."}, []string{"state"}),
		phase: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "replicator_rebuild_phase", Help: "1 for what a rebuild of this replicator does now, 0 for the rest."}, []string{"phase"}),
	}
	for t := tables.Bids; t <= tables.Products; t++ {
		m.Rows.WithLabelValues(t.Kind())
	}
	for _, r := range reasons {
		m.Rebuilds.WithLabelValues(string(r))
	}
	reg.MustRegister(m.Rows, m.Rebuilds, m.errors, m.Transactions, m.Flush, m.Changes, m.lsn, m.Confirmed,
		m.Retained, m.RebuildRows, m.Expected, m.state, m.phase,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "replicator_lag_seconds",
			Help: "How far the read model is behind, by the last heartbeat in the checkpoint and the clock of the primary."},
			func() float64 { return float64(b.Read(time.Now()).LagMillis) / 1000 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "replicator_lag_bytes",
			Help: "WAL of the primary that the read model does not cover yet."},
			func() float64 { return float64(b.Read(time.Now()).LagBytes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "replicator_held_seconds",
			Help: "How long the oldest transaction that is not in Redis yet has waited for the synchronous standby."},
			func() float64 { return float64(b.Read(time.Now()).HeldMillis) / 1000 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "replicator_checkpoint_age_seconds",
			Help: "Since when the checkpoint in Redis stands still, as this replicator wrote or read it; without one, since when there is none."},
			func() float64 { return b.checkpointAge(time.Now()).Seconds() }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "replicator_rebuild_waiting_transactions",
			Help: "Open transactions that the new slot of a rebuild waits for."}, b.waitingFor),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "replicator_serving",
			Help: "1 while Redis has a checkpoint, so that reads can be answered from it."}, b.serving))
	return m
}
