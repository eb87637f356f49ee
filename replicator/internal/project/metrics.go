package project

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// errorKinds label the metric of errors; the first that fits counts.
var errorKinds = []struct {
	err  error
	kind string
}{
	{ErrStalePrimary, "stale_primary"}, {errNewer, "newer_primary"}, {errServer, "server"},
	{errPublication, "publication_changed"}, {errForgot, "primary_forgot"}, {errSlotLost, "slot_lost"},
	{errSilent, "silent"}, {errNoRoom, "no_room"}, {errFenced, "fenced"}, {errTorn, "torn"},
	{errTruncated, "truncated"}, {errEvicted, "evicted"}, {errRedisUnfit, "redis_unfit"},
	{wal.ErrShape, "schema"}, {wal.ErrDecode, "decode"},
}

func errorKind(err error) string {
	var fromRedis redis.Error
	var reply resp.Error
	if isFull(err) {
		return "redis_full"
	}
	for _, k := range errorKinds {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	if errors.As(err, &fromRedis) || errors.As(err, &reply) {
		return "redis"
	}
	return "connection"
}

type metrics struct {
	rows, rebuilds, errors *prometheus.CounterVec
	transactions           prometheus.Counter
	flush                  prometheus.Histogram
	changes                prometheus.Histogram
	lsn, confirmed         prometheus.Gauge
	retained               prometheus.Gauge
	rebuildRows, expected  prometheus.Gauge
	state                  *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer, b *board) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "replicator_" + name, Help: help})
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "replicator_" + name, Help: help}, []string{label})
	}
	m := &metrics{
		rows:     counters("rows_total", "Row changes applied, by table.", "table"),
		rebuilds: counters("rebuilds_total", "Rebuilds begun, by reason.", "reason"),
		errors:   counters("errors_total", "Errors that ended a session, by kind.", "kind"),
		transactions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "replicator_transactions_total", Help: "Transactions applied."}),
		flush: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "replicator_flush_seconds", Help: "Time of one flush to Redis.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14)}),
		changes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "replicator_flush_changes", Help: "Row changes in one flush.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8)}),
		lsn:         gauge("checkpoint_lsn", "Position of the checkpoint in Redis, in bytes."),
		confirmed:   gauge("confirmed_lsn", "Position confirmed to the slot, in bytes."),
		retained:    gauge("slot_retained_bytes", "WAL that the primary keeps for the slot."),
		rebuildRows: gauge("rebuild_rows", "Rows that the running or last rebuild has written."),
		expected:    gauge("rebuild_expected_rows", "Rows that the running or last rebuild expects."),
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "replicator_state", Help: "1 for the state that the replicator is in."}, []string{"state"}),
	}
	reg.MustRegister(m.rows, m.rebuilds, m.errors, m.transactions, m.flush, m.changes, m.lsn, m.confirmed,
		m.retained, m.rebuildRows, m.expected, m.state,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "replicator_lag_seconds",
			Help: "How far the read model is behind, by the last heartbeat in the checkpoint and the clock of the primary."},
			func() float64 { return float64(b.read(time.Now()).LagMillis) / 1000 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "replicator_lag_bytes",
			Help: "WAL of the primary that the read model does not cover yet."},
			func() float64 { return float64(b.read(time.Now()).LagBytes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "replicator_serving",
			Help: "1 while Redis has a checkpoint, so that reads can be answered from it."}, b.serving))
	return m
}
