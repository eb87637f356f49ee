package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime/debug"
	"time"

	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ShutdownTime is how long a service may take from SIGTERM until its requests in flight are finished.
const ShutdownTime = 9 * time.Second

// TuneGC lets the heap grow to three times the live heap before it is collected, unless GOGC is set. The services
// keep little and allocate per request, so collecting at twice the live heap, the default, would take an eighth of
// their processor time.
func TuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}

// Ready says whether the service can do its work: nil, or why it can't.
type Ready func(context.Context) error

// Servers are a service's two listeners, already bound.
type Servers struct {
	// Finish is how long requests in flight may take to finish once the servers stop. Listen sets ShutdownTime.
	Finish time.Duration

	public, admin net.Listener
	log           *slog.Logger
}

// Listen binds the public and the admin address, so that a taken port is reported before anything starts.
func Listen(log *slog.Logger, public, admin string) (*Servers, error) {
	p, err := net.Listen("tcp", public)
	if err != nil {
		return nil, fmt.Errorf("public listener: %w", err)
	}
	a, err := net.Listen("tcp", admin)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("admin listener: %w", err), p.Close())
	}
	return &Servers{Finish: ShutdownTime, public: p, admin: a, log: log}, nil
}

// AddTo adds both servers to the group. When the group stops they take no new connection and finish
// what is in flight within Finish.
func (s *Servers) AddTo(g *run.Group, public, admin http.Handler) {
	if _, plain := s.public.(*net.TCPListener); plain { // net/http must see the connection of a TLS listener itself
		s.public = wholeListener{s.public}
	}
	s.add(g, "public", s.public, public)
	s.add(g, "admin", s.admin, admin)
}

func (s *Servers) add(g *run.Group, name string, l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 15 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ConnContext: wholeContext,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	g.Add(func() error {
		s.log.Info("listening", "listener", name, "address", l.Addr().String())
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("%s server: %w", name, err)
		}
		return <-stopped
	}, func(error) {
		// The group interrupts its actors one after the other, so this function must not wait.
		go func() { stopped <- s.shutdown(name, server) }()
	})
}

// shutdown logs its error as well, because the group returns only the first error.
func (s *Servers) shutdown(name string, server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.Finish)
	defer cancel()
	err := server.Shutdown(ctx)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s server: requests cut off at shutdown: %w", name, errors.Join(err, server.Close()))
	s.log.Error("shutdown", "error", err)
	return err
}

// Admin is the handler of the admin listener: /livez, /readyz, /metrics and /debug/pprof.
func Admin(reg prometheus.Gatherer, ready Ready) *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) {
		WriteJSON(w, r, http.StatusOK, map[string]string{"status": "alive"})
	})
	m.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if err := ready(ctx); err != nil {
			WriteProblem(w, r, NewProblem(http.StatusServiceUnavailable, err.Error()).Retry(time.Second))
			return
		}
		WriteJSON(w, r, http.StatusOK, map[string]string{"status": "ready"})
	})
	m.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	m.HandleFunc("/debug/pprof/", pprof.Index)
	m.HandleFunc("/debug/pprof/profile", pprof.Profile)
	m.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	m.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	m.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return m
}
