package project

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// State is what a replicator is doing.
type State string

// The states. Only Streaming is ready.
const (
	Starting   State = "starting"   // connecting and deciding
	Waiting    State = "waiting"    // another replicator holds the lock
	Rebuilding State = "rebuilding" // filling the next epoch
	Streaming  State = "streaming"  // applying what is committed
	Retrying   State = "retrying"   // after an error, before the next attempt
)

var states = []State{Starting, Waiting, Rebuilding, Streaming, Retrying}

// Status is what a replicator says about itself at GET /v1/status.
type Status struct {
	State         State     `json:"state"`
	LSN           string    `json:"lsn,omitempty"`
	LagMillis     int64     `json:"lag_ms"`
	LagBytes      int64     `json:"lag_bytes"`
	Epoch         uint64    `json:"epoch,omitempty"`
	Slot          string    `json:"slot,omitempty"`
	RetainedBytes int64     `json:"slot_retained_bytes"`
	Rebuild       *Progress `json:"rebuild,omitempty"`
	Rebuilds      int       `json:"rebuilds"`
	LastError     string    `json:"last_error,omitempty"`
	LastErrorAt   string    `json:"last_error_at,omitempty"`
}

// Progress is how far a rebuild has come; the expected number is the planner's estimate.
type Progress struct {
	Reason   Reason `json:"reason"`
	Rows     int64  `json:"rows"`
	Expected int64  `json:"expected_rows"`
	PerSec   int64  `json:"rows_per_second"`
	ETA      int64  `json:"eta_seconds"`
}

// board is the status that all parts write to.
type board struct {
	mu         sync.Mutex
	status     Status
	checkpoint readmodel.Checkpoint
	flushed    lsn.LSN // of the primary, as seen last
	moved      bool    // this session has applied a transaction from the stream
	started    time.Time
	metrics    *metrics
}

func (b *board) update(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *board) state(s State) {
	b.update(func() {
		b.status.State = s
		if s != Rebuilding {
			b.status.Rebuild = nil
		}
	})
	for _, other := range states {
		v := 0.0
		if other == s {
			v = 1
		}
		b.metrics.state.WithLabelValues(string(other)).Set(v)
	}
}

// served is the checkpoint that was written last and whether the stream goes on from it.
func (b *board) served() (c readmodel.Checkpoint, streaming bool) {
	b.update(func() { c, streaming = b.checkpoint, b.status.State == Streaming })
	return c, streaming
}

func (b *board) hasMoved() (moved bool) {
	b.update(func() { moved, b.moved = b.moved, false })
	return moved
}

func (b *board) applied(c readmodel.Checkpoint) {
	b.update(func() { b.checkpoint = c })
	b.metrics.lsn.Set(float64(c.LSN))
}

func (b *board) failed(err error, now time.Time) {
	b.update(func() {
		b.status.LastError, b.status.LastErrorAt = err.Error(), now.UTC().Format(time.RFC3339Nano)
	})
	b.metrics.errors.WithLabelValues(errorKind(err)).Inc()
}

func (b *board) read(now time.Time) Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	if s.Rebuild != nil {
		p := *s.Rebuild
		s.Rebuild = &p
	}
	// Without a checkpoint nothing can be served: behind since the start at least.
	s.LagMillis = now.Sub(b.started).Milliseconds()
	if c := b.checkpoint; c.Slot != "" {
		s.LSN, s.Slot, s.Epoch = c.LSN.String(), c.Slot, uint64(c.Epoch)
		s.LagMillis = c.LagMillis(now.UnixMicro())
		s.LagBytes = max(int64(b.flushed)-int64(c.LSN), 0)
	}
	return s
}

// errorKind labels the metric of errors.
func errorKind(err error) string {
	var fromRedis redis.Error
	var reply resp.Error
	switch {
	case errors.Is(err, errFenced):
		return "fenced"
	case errors.Is(err, errTorn):
		return "torn"
	case errors.Is(err, errTruncated):
		return "truncated"
	case isFull(err):
		return "redis_full"
	case errors.Is(err, errForgot):
		return "primary_forgot"
	case errors.Is(err, errEvicted):
		return "evicted"
	case errors.Is(err, errRedisUnfit):
		return "redis_unfit"
	case errors.Is(err, wal.ErrShape):
		return "schema"
	case errors.Is(err, wal.ErrDecode):
		return "decode"
	case errors.As(err, &fromRedis), errors.As(err, &reply):
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

func newMetrics(reg prometheus.Registerer, lag func() float64) *metrics {
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
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "replicator_lag_seconds", Help: "How far the read model is behind, by the last probe in the checkpoint."}, lag))
	return m
}
