// Package primary connects the service to the one database server that takes writes.
package primary

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// session are the settings that every connection to the primary starts with; they win over those of
// the role and of the server.
var session = map[string]string{
	"application_name": "command",
	// W1: a commit is answered once it is flushed.
	"synchronous_commit": "on",
	// Under the limit of a request, so that the server gives up in order before we cut the connection.
	"statement_timeout":                   "1500",
	"idle_in_transaction_session_timeout": "5000",
	// Every statement finds its rows by an index. A plan made while the tables were nearly empty must
	// not scan them later, and one plan serves all.
	"enable_seqscan":  "off",
	"plan_cache_mode": "force_generic_plan",
}

// connectTimeout is for each host: as long as a host that is cut off is named before the one that has taken
// over, every new connection takes so much longer.
const connectTimeout = time.Second

// closeTimeout is what is left of the 10 s that the service has for its end.
const closeTimeout = 500 * time.Millisecond

// Close closes the pool. pgx takes up to 15 s to give up a connection to a server that does not answer; those
// end with the process.
func Close(pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
	}
}

// Open makes the pool and registers its metrics. It connects when it is first used, so the service can start before the
// primary does.
func Open(url string, reg prometheus.Registerer) (*pgxpool.Pool, error) {
	config, err := ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("primary: %w", err)
	}
	for name, value := range session {
		config.ConnConfig.RuntimeParams[name] = value
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("primary: %w", err)
	}
	watchPool(pool, reg)
	return pool, nil
}

// Writable is ready when the primary answers and takes writes.
func Writable(pool *pgxpool.Pool) web.Ready {
	return func(ctx context.Context) error {
		var ok bool
		const sql = "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'"
		if err := pool.QueryRow(ctx, sql).Scan(&ok); err != nil {
			return fmt.Errorf("primary not reachable: %w", err)
		}
		if !ok {
			return errors.New("primary is read-only")
		}
		return nil
	}
}

func watchPool(pool *pgxpool.Pool, reg prometheus.Registerer) {
	gauge := func(name, help string, value func(*pgxpool.Stat) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return value(pool.Stat()) }))
	}
	counter := func(name, help string, value func(*pgxpool.Stat) float64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return value(pool.Stat()) }))
	}
	gauge("primary_connections", "Open connections to the primary.",
		func(s *pgxpool.Stat) float64 { return float64(s.TotalConns()) })
	gauge("primary_connections_used", "Connections to the primary in use.",
		func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) })
	gauge("primary_connections_max", "Most connections to the primary.",
		func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) })
	counter("primary_connections_made_total", "Connections made to the primary.",
		func(s *pgxpool.Stat) float64 { return float64(s.NewConnsCount()) })
	counter("primary_wait_seconds_total", "Time spent waiting for a connection to the primary.",
		func(s *pgxpool.Stat) float64 { return s.AcquireDuration().Seconds() })
}
