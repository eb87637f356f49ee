package tracing_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func request(header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// Without a Tracer, and for a request that is not sampled, a span costs no allocation.
func TestNoSpanCostsNothing(t *testing.T) {
	for name, tracer := range map[string]*tracing.Tracer{"off": nil, "not sampled": tracing.New(sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())))} {
		r, failed := request("Traceparent", parent), errors.New("failed")
		ctx, root := tracer.Serve(r, "GET /")
		if root.On() || root.Parent() != "" {
			t.Errorf("%s: a span is recorded", name)
		}
		allocs := testing.AllocsPerRun(1000, func() {
			below, span := tracing.Start(ctx, "below")
			span.Text("text", "value")
			span.Number("number", 1)
			span.Event("event")
			span.Past("past", time.Time{}, time.Time{})
			span.Fail(failed)
			span.End()
			if _, span := tracing.Together(below, "batch", nil); span.On() || tracing.Of(below).On() {
				t.Error("a span is recorded")
			}
		})
		if tracer == nil {
			allocs += testing.AllocsPerRun(1000, func() { tracer.Serve(r, "GET /") })
		}
		if allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// A span goes on in another program by its text.
func TestATextLeadsToTheSpan(t *testing.T) {
	tracer := tracing.New(sdk.NewTracerProvider())
	_, span := tracer.Serve(request("Traceparent", parent), "GET /")
	text := span.Parent()
	if !strings.HasPrefix(text, "00-4bf92f3577b34da6a3ce929d0e0e4736-") || text == parent {
		t.Errorf("the span is %q, below %q", text, parent)
	}
	served, ok := tracing.Parse(text, "0/1")
	if !ok {
		t.Fatalf("%q is not understood", text)
	}
	_, joined := tracer.Join(t.Context(), "apply", time.Now(), served)
	if got := joined.Parent(); !strings.HasPrefix(got, text[:36]) || got == text {
		t.Errorf("%q has %q below it", text, got)
	}
	for _, bad := range []string{"", "x", parent[:54], "00-00000000000000000000000000000000-00f067aa0ba902b7-01", strings.TrimSuffix(parent, "1") + "0"} {
		if _, ok := tracing.Parse(bad, ""); ok {
			t.Errorf("%q is understood", bad)
		}
	}
}

// Lines name the trace of their context, or that of the request, also if this service makes no spans.
func TestLinesNameTheTrace(t *testing.T) {
	const id = `"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"`
	var b bytes.Buffer
	log := slog.New(tracing.LogHandler(slog.NewJSONHandler(&b, nil))).With("service", "test")
	ctx, _ := tracing.New(sdk.NewTracerProvider()).Serve(request("Traceparent", parent), "GET /")
	for _, c := range []struct {
		ctx  context.Context
		want bool
	}{{ctx, true}, {tracing.Named(request("Traceparent", parent)), true}, {tracing.Named(request()), false}, {tracing.Named(request("Traceparent", "x\n")), false}} {
		b.Reset()
		log.InfoContext(c.ctx, "line")
		if got := strings.Contains(b.String(), id); got != c.want {
			t.Errorf("%s", b.String())
		}
	}
}

func BenchmarkNoSpan(b *testing.B) {
	r := request()
	b.ReportAllocs()
	for b.Loop() {
		var tracer *tracing.Tracer
		ctx, root := tracer.Serve(r, "GET /")
		_, span := tracing.Start(ctx, "below")
		span.End()
		root.End()
	}
}
