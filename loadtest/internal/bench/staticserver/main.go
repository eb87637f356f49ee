// Command staticserver is what the read benchmarks compare query with: a bare net/http hello, or a handler
// on the services' own router that writes the answer that another server once gave to the same request.
package main

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

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "staticserver:", err)
		os.Exit(1)
	}
}

// serve reads LISTEN_ADDR, ADMIN_ADDR and, for all but the bare hello, ROUTE (a pattern of the router) and
// COPY (the URL whose answer is written), ACCEPT_ENCODING and IF_NONE_MATCH for the request to it.
func serve(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	reg := prometheus.NewRegistry()
	handler := bareHello()
	if route := os.Getenv("ROUTE"); route != "" {
		var err error
		if handler, err = copied(ctx, log, reg, route); err != nil {
			return err
		}
	}
	web.TuneGC()
	servers, err := web.Listen(log, os.Getenv("LISTEN_ADDR"), os.Getenv("ADMIN_ADDR"))
	if err != nil {
		return err
	}
	var group run.Group
	group.Add(run.ContextHandler(ctx))
	servers.AddTo(&group, handler, web.Admin(reg, func(context.Context) error { return nil }))
	if err := group.Run(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func bareHello() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		// The error is dropped, because a baseline does not care about a client that has left.
		_, _ = io.WriteString(w, "Hello World")
	})
}

// copied asks once and answers the same status, headers and bytes on the route from then on.
func copied(ctx context.Context, log *slog.Logger, reg prometheus.Registerer, route string) (http.Handler, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Getenv("COPY"), nil)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"Accept-Encoding": os.Getenv("ACCEPT_ENCODING"), "If-None-Match": os.Getenv("IF_NONE_MATCH")} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	client := http.Client{Transport: &http.Transport{DisableCompression: true}}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	header, status := answer.Header, answer.StatusCode
	header.Del("Date") // the server's own
	header.Del(web.RequestIDHeader)
	router := web.NewRouter(log, reg, func(error) *web.Problem { return nil })
	router.Handle(http.MethodGet, route, func(w http.ResponseWriter, _ *http.Request) error {
		h := w.Header()
		for name, values := range header {
			h[name] = values
		}
		w.WriteHeader(status)
		_, err := w.Write(body)
		if errors.Is(err, http.ErrBodyNotAllowed) {
			return nil
		}
		return err
	})
	return router, nil
}
