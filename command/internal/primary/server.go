// Package primary connects the service to the one database server that takes writes.
package primary

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

// session are the settings that every connection to the primary starts with. They override the settings of the role
// and of the server.
var session = map[string]string{
	"application_name": "command",
	// W1: a commit is answered once it is flushed.
	"synchronous_commit": "on",
	// Shorter than the limit of a request, so that the server cancels the statement before this service cuts the
	// connection.
	"statement_timeout":                   "1500",
	"idle_in_transaction_session_timeout": "5000",
	// Every statement must find its rows by an index, even with a plan that was made while the tables were nearly
	// empty. One generic plan serves all arguments.
	"enable_seqscan":  "off",
	"plan_cache_mode": "force_generic_plan",
}

// Server is the primary. It may run on any host of its URL.
type Server struct {
	hosts     []*pgx.ConnConfig
	reg       prometheus.Registerer
	timelines pg.Timelines
	away      away

	mu   sync.Mutex
	sets []*Conns
}

// Open reads the URL. Connections are made when they are first used, so the service can start before the
// primary does.
func Open(url string, reg prometheus.Registerer) (*Server, error) {
	hosts, err := hostsOf(url, session)
	if err != nil {
		return nil, err
	}
	return &Server{hosts: hosts, reg: reg}, nil
}

// Conns makes a set of up to most connections, which only its owner uses. Their statements wait for a lock no longer
// than lockWait. The metrics name the set by name.
func (s *Server) Conns(name string, most int, lockWait time.Duration) *Conns {
	hosts := make([]*pgx.ConnConfig, 0, len(s.hosts))
	for _, h := range s.hosts {
		h = h.Copy()
		h.RuntimeParams["lock_timeout"] = fmt.Sprint(lockWait.Milliseconds())
		hosts = append(hosts, h)
	}
	c := &Conns{server: s, hosts: hosts, places: make(chan struct{}, most)}
	c.watch(name, s.reg)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets = append(s.sets, c)
	return c
}

// Timelines holds the timelines that this process has seen. Other parts of the process may add to it.
func (s *Server) Timelines() *pg.Timelines { return &s.timelines }

// Warm opens all connections of the sets made so far.
func (s *Server) Warm(ctx context.Context) error {
	s.mu.Lock()
	sets := slices.Clone(s.sets)
	s.mu.Unlock()
	for _, c := range sets {
		if err := c.warm(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the connections that are not in use.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.sets {
		c.drop()
	}
}

// hostsOf returns the configuration of each host of a URL.
func hostsOf(url string, settings ...map[string]string) ([]*pgx.ConnConfig, error) {
	config, err := ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("primary: %w", err)
	}
	all := config.ConnConfig
	all.ConnectTimeout, all.ValidateConnect = connectTimeout, nil // connect asks each server itself
	all.OnNotice = noteWarning
	for _, s := range settings {
		maps.Copy(all.RuntimeParams, s)
	}
	return pg.Hosts(all), nil
}

// warning is where a connection keeps the last warning of the server.
const warning = "warning"

func noteWarning(c *pgconn.PgConn, n *pgconn.Notice) {
	if pg.Class(n.Code) == pg.Warning {
		c.CustomData()[warning] = n.Message
	}
}
