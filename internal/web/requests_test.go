package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
)

// logged is a router with routes that answer well, fail, and stay open, and its log.
func logged(t *testing.T, level slog.Level, r Requests) (rt *Router, lines func() []map[string]any) {
	t.Helper()
	var b bytes.Buffer
	log := slog.New(tracing.LogHandler(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: level})))
	rt = NewRouter(log, prometheus.NewRegistry(), func(error) *Problem { return Unavailable.Problem("not now") })
	rt.Observe(r)
	rt.Handle("GET", "/good/{id}", func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, "good")
		return err
	})
	rt.Handle("GET", "/bad", func(http.ResponseWriter, *http.Request) error { return errors.New("the cause") })
	rt.Handle("GET", "/feed", func(w http.ResponseWriter, _ *http.Request) error {
		StaysOpen(w)
		_, err := io.WriteString(w, "data: 1\n\n")
		return err
	})
	return rt, func() (all []map[string]any) {
		for line := range strings.Lines(b.String()) {
			var one map[string]any
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			all = append(all, one)
		}
		b.Reset()
		return all
	}
}

func ask(rt *Router, path string, header ...string) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rt.ServeHTTP(httptest.NewRecorder(), r)
}

func TestASampleOfRequestsHasLines(t *testing.T) {
	rt, lines := logged(t, slog.LevelInfo, Requests{Sample: 10})
	for range 25 {
		ask(rt, "/good/1?token=secret", "X-Request-Id", "id-1")
	}
	got := lines()
	if len(got) != 2 {
		t.Fatalf("%d lines of 25 requests, of which one in 10 is logged", len(got))
	}
	for name, want := range map[string]any{"msg": "request", "level": "INFO", "method": "GET", "path": "/good/1", "route": "/good/{id}", "status": 200.0, "request_id": "id-1", "left_out": 9.0} {
		if got[1][name] != want {
			t.Errorf("%s is %v, want %v", name, got[1][name], want)
		}
	}
	if _, ok := got[1]["took_ms"].(float64); !ok {
		t.Errorf("no time: %v", got[1])
	}
}

func TestEachRequestHasALineAtDebug(t *testing.T) {
	rt, lines := logged(t, slog.LevelDebug, Requests{Sample: 10})
	for range 25 {
		ask(rt, "/good/1")
	}
	if got := lines(); len(got) != 25 || got[0]["level"] != "DEBUG" {
		t.Errorf("%d lines of 25 requests: %v", len(got), got[:1])
	}
}

func TestSlowRequestsHaveLinesButNoFeeds(t *testing.T) {
	rt, lines := logged(t, slog.LevelInfo, Requests{Slow: time.Nanosecond})
	ask(rt, "/feed")
	ask(rt, "/good/1")
	if got := lines(); len(got) != 1 || got[0]["msg"] != "slow request" || got[0]["path"] != "/good/1" {
		t.Errorf("%v", got)
	}
}

// A failure has a line with its cause and the id of the trace. If there are many, a few have, and say how many had none.
func TestFailuresHaveLines(t *testing.T) {
	rt, lines := logged(t, slog.LevelInfo, Requests{Sample: 1000})
	const failures = 200
	for range failures {
		ask(rt, "/bad", "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	}
	got := lines()
	if len(got) == 0 || len(got) >= failures {
		t.Fatalf("%d lines of %d failures", len(got), failures)
	}
	for name, want := range map[string]any{"msg": "request failed", "level": "WARN", "status": 503.0, "error": "the cause", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"} {
		if got[0][name] != want {
			t.Errorf("%s is %v, want %v", name, got[0][name], want)
		}
	}
	told := 0.0
	for _, l := range got {
		told += 1 + l["left_out"].(float64)
	}
	if last := rt.requests.failed.Load(); told+float64(last) != failures {
		t.Errorf("the lines tell of %v failures, and the next one of %d, of %d", told, last, failures)
	}
}

// A request whose client has left is no failure of ours.
func TestALostClientIsNoFailure(t *testing.T) {
	rt, lines := logged(t, slog.LevelInfo, Requests{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rt.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/bad", nil))
	if got := lines(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// BenchmarkRequests shows what a request costs in the router without traces ("off"), beside one that is not sampled and one that is.
func BenchmarkRequests(b *testing.B) {
	spans := func(s sdk.Sampler) *tracing.Tracer {
		return tracing.New(sdk.NewTracerProvider(sdk.WithSampler(s)), false)
	}
	for _, c := range []struct {
		name  string
		spans *tracing.Tracer
	}{{"off", nil}, {"not sampled", spans(sdk.NeverSample())}, {"sampled", spans(sdk.AlwaysSample())}} {
		rt := NewRouter(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func(error) *Problem { return nil })
		rt.Observe(Requests{Sample: 1000, Slow: time.Second, Spans: c.spans})
		rt.Handle("GET", "/x", func(w http.ResponseWriter, r *http.Request) error {
			for range 4 { // a lookup has three spans, a bid four
				_, span := tracing.Start(r.Context(), "inner")
				span.End()
			}
			w.WriteHeader(http.StatusOK)
			return nil
		})
		r := httptest.NewRequest(http.MethodGet, "/x", nil)
		r.Header.Set(RequestIDHeader, "id-1")
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rt.ServeHTTP(nowhere{http.Header{}}, r)
			}
		})
	}
}

type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}
