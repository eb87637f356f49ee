// Package service is the frame of the three programs that run until a signal: log, metrics, listeners and parts.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
	"github.com/stock-pyramid/stock-pyramid/internal/tracing/otlp"
	"github.com/stock-pyramid/stock-pyramid/internal/version"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// Service is a program while it runs.
type Service struct {
	Log     *slog.Logger
	Metrics *prometheus.Registry
	// Requests is for the routers. Its Spans are also those of everything else; nil if no traces are made.
	Requests web.Requests

	servers *web.Servers
	parts   run.Group
	drain   drain
	traces  *otlp.Exporter
	// wrap puts further routes before those of the admin listener; nil: there are none.
	wrap func(http.Handler) http.Handler
}

// Signals returns a context that ends with SIGINT or SIGTERM.
func Signals() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// Main reads the configuration from the environment and serves until a signal; with the argument -version it only prints
// the version. The program's exit status is 0 after a
// signal, otherwise 1 with the reason on standard error.
func Main[C env.Checker](name string, config C, serve func(context.Context, C) error) {
	if version.Print(os.Stdout, name, os.Args[1:]) {
		return
	}
	ctx, stop := Signals()
	defer stop()
	_, err := env.Parse(config)
	if err == nil {
		err = serve(ctx, config)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// New makes a service and binds its two addresses, so that a taken address is an error before anything starts. The
// log goes to notes, as JSON lines that name the service.
func New(name string, c env.Common, notes io.Writer) (*Service, error) {
	log := slog.New(tracing.LogHandler(slog.NewJSONHandler(notes, &slog.HandlerOptions{Level: c.LogLevel}))).With("service", name)
	slog.SetDefault(log)
	traces, err := otlp.Open(name, c.Traces, log)
	if err != nil {
		return nil, err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reg.MustRegister(aboutItself(c.Clock())...)
	servers, err := web.Listen(log, c.ListenAddr, c.AdminAddr)
	if err != nil {
		return nil, err
	}
	if c.TLSFile != "" {
		if err := servers.Secure(c.TLSFile); err != nil {
			return nil, errors.Join(fmt.Errorf("TLS_FILE: %w", err), servers.Close())
		}
	}
	servers.Finish -= c.DrainDelay
	if traces != nil {
		servers.Finish -= otlp.FlushTime
	}
	return &Service{Log: log, Metrics: reg, servers: servers, drain: drain{delay: c.DrainDelay}, traces: traces,
		Requests: web.Requests{Sample: c.LogSample, Slow: c.LogSlow, Spans: traces.Spans()}}, nil
}

// Admin puts a handler before that of the admin listener. It is called before Serve.
func (s *Service) Admin(wrap func(rest http.Handler) http.Handler) { s.wrap = wrap }

// Serve adds the public listener and the admin listener. The latter answers with ready whether the service can work.
func (s *Service) Serve(public http.Handler, ready web.Ready) {
	var admin http.Handler = web.Admin(s.Metrics, s.drain.unready(ready))
	if s.wrap != nil {
		admin = s.wrap(admin)
	}
	s.servers.AddTo(&s.parts, s.drain.last(public), admin)
}

// Add adds a part, which must run until its context ends. The contexts of all parts end when the first part has
// ended.
func (s *Service) Add(part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	s.parts.Add(func() error { return part(ctx) }, func(error) { cancel() })
}

// OnDrain adds a function that is called when the drain begins. The context ends with the drain.
func (s *Service) OnDrain(do func(context.Context)) { s.drain.tell = append(s.drain.tell, do) }

// Run runs all parts until ctx ends and the service has drained, which is no error, or until the first part fails. It
// returns when all have ended.
func (s *Service) Run(ctx context.Context) error {
	failed, stop := context.WithCancel(context.Background())
	s.parts.Add(func() error {
		select {
		case <-ctx.Done():
			s.drain.run(failed, s.Log)
		case <-failed.Done():
		}
		return context.Cause(ctx)
	}, func(error) { stop() })
	err := s.parts.Run()
	if unsent := s.traces.Close(); unsent != nil {
		s.Log.Warn("traces are not sent", "error", unsent)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		s.Log.Info("stopped")
		return nil
	}
	return err
}
