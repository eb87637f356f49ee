// Package writer writes the heartbeat of the primary. It needs the database only, so that the heartbeat goes on even
// if other parts of a service are stuck.
package writer

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

const (
	every = time.Second
	// limit bounds a heartbeat, with the connection attempt that it may need.
	limit = 2 * time.Second
)

// session are the settings of the connection. The server gives up before the writer does, so that a
// connection to a server that answers is kept.
var session = map[string]string{
	"application_name":  "heartbeat",
	"lock_timeout":      "1000",
	"statement_timeout": "1500",
}

// beat writes a heartbeat, unless another writer's heartbeat is half a second old at most.
const beat = `SELECT (SELECT heartbeat()::text WHERE NOT coalesce((
	SELECT at BETWEEN clock_timestamp() - interval '500 ms' AND clock_timestamp() FROM heartbeats ORDER BY number DESC LIMIT 1), false))`

// Writer writes a heartbeat every second on every host of a database that takes writes and was not overtaken by a
// promotion.
type Writer struct {
	hosts     []*host
	timelines *pg.Timelines
	log       *slog.Logger
	written   prometheus.Counter
	failures  *prometheus.CounterVec
}

// New makes a writer and registers its metrics. The URL may name several hosts; its target_session_attrs is
// ignored, because each host has a connection of its own. The writer notes every second on which timelines the hosts
// write. No error repeats the URL, which holds a password.
func New(url string, timelines *pg.Timelines, log *slog.Logger, reg prometheus.Registerer) (*Writer, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("heartbeat: %w", err)
	}
	w := &Writer{hosts: split(config), timelines: timelines, log: log,
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "heartbeats_total", Help: "Seconds in which this process saw to it that a node that takes writes has a heartbeat."}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heartbeat_failures_total", Help: "Heartbeats that could not be written, by host."}, []string{"host"}),
	}
	for _, h := range w.hosts {
		w.failures.WithLabelValues(h.name)
	}
	reg.MustRegister(w.written, w.failures)
	return w, nil
}

// host is a server and the connection to it, nil if there is none.
type host struct {
	name   string
	config *pgx.ConnConfig
	conn   *pgx.Conn
	state  string // as logged last
}

// split makes one configuration per host. A host can be in the list twice, with TLS and without.
func split(config *pgx.ConnConfig) (hosts []*host) {
	all := append([]*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}}, config.Fallbacks...)
	byName := make(map[string]*host)
	for _, f := range all {
		name := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))
		if h := byName[name]; h != nil {
			h.config.Fallbacks = append(h.config.Fallbacks, f)
			continue
		}
		one := config.Copy()
		one.Host, one.Port, one.TLSConfig, one.Fallbacks, one.ValidateConnect = f.Host, f.Port, f.TLSConfig, nil, nil
		one.ConnectTimeout = limit
		for name, value := range session {
			one.RuntimeParams[name] = value
		}
		byName[name] = &host{name: name, config: one}
		hosts = append(hosts, byName[name])
	}
	return hosts
}

// Run writes until ctx ends and returns ctx's error. After any other error it tries again.
func (w *Writer) Run(ctx context.Context) error {
	var hosts sync.WaitGroup
	for _, h := range w.hosts {
		hosts.Go(func() { w.run(ctx, h) })
	}
	hosts.Wait()
	return ctx.Err()
}

func (w *Writer) run(ctx context.Context, h *host) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		state, err := w.beat(ctx, h)
		if ctx.Err() != nil {
			h.close(ctx)
			return
		}
		w.tell(ctx, h, state, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.close(ctx)
			return
		}
	}
}

// States of a host, as they are logged.
const (
	written   = "written"
	closed    = "closed" // a standby, or a primary that takes no writes
	overtaken = "overtaken"
	failing   = "failing"
)

// tell counts what became of a heartbeat and logs what has changed.
func (w *Writer) tell(ctx context.Context, h *host, state string, err error) {
	switch state {
	case failing:
		w.failures.WithLabelValues(h.name).Inc()
	case written:
		w.written.Inc()
	}
	if state == h.state {
		return
	}
	h.state = state
	if err != nil {
		w.log.WarnContext(ctx, "heartbeat", "host", h.name, "state", state, "error", err)
		return
	}
	w.log.InfoContext(ctx, "heartbeat", "host", h.name, "state", state)
}

// beat writes one heartbeat where one belongs. If the last connection has failed, it makes a new one.
func (w *Writer) beat(ctx context.Context, h *host) (state string, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if h.conn == nil || h.conn.IsClosed() {
		pg.Refresh(&h.config.Config)
		if h.conn, err = pgx.ConnectConfig(ctx, h.config); err != nil {
			return failing, err
		}
	}
	is, err := pg.Identify(ctx, h.conn)
	if err != nil {
		return failing, err
	}
	w.timelines.Note(is)
	switch {
	case is.Closed:
		return closed, nil
	case w.timelines.Overtaken(is):
		return overtaken, nil
	}
	var none *string // heartbeat() returns nothing
	err = h.conn.QueryRow(ctx, beat).Scan(&none)
	switch {
	case pg.HasCode(err, pg.ReadOnlySQLTransaction): // closed since it was asked
		return closed, nil
	case err != nil: // pgx has closed the connection already, unless the error is the statement's own
		return failing, err
	}
	return written, nil
}

// close closes the connection. It waits only briefly, because the server may not answer.
func (h *host) close(ctx context.Context) {
	if h.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit/4)
	defer cancel()
	// The connection is closed even if there is an error.
	_ = h.conn.Close(ctx)
}
