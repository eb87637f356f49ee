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
	for name, tracer := range map[string]*tracing.Tracer{"off": nil, "not sampled": tracing.New(sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())), true)} {
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
	tracer := tracing.New(sdk.NewTracerProvider(), true)
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
	ctx, _ := tracing.New(sdk.NewTracerProvider(), true).Serve(request("Traceparent", parent), "GET /")
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

// Neither a sampled flag nor an id of a trace that every ratio takes makes a client's request sampled, unless clients are
// trusted. A sampled span has a link to the client's span.
func TestOnlyTrustedClientsChooseWhatIsSampled(t *testing.T) {
	const taken = "00-00000000000000010000000000000000-00f067aa0ba902b7-01" // by its last eight bytes, which are 0
	seldom := sdk.WithSampler(sdk.TraceIDRatioBased(1e-9))
	for trusts, want := range map[bool]bool{true: true, false: false} {
		tracer := tracing.New(sdk.NewTracerProvider(seldom), trusts)
		for range 50 {
			if _, span := tracer.Serve(request("Traceparent", taken), "GET /"); span.On() != want {
				t.Errorf("trusted %v: sampled %v", trusts, span.On())
			}
		}
	}
	var spans spansOf
	_, span := tracing.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(&spans)), false).Serve(request("Traceparent", strings.TrimSuffix(parent, "1")+"0"), "GET /")
	span.End()
	if len(spans) != 1 {
		t.Fatal("a client hides its request")
	}
	links := spans[0].Links()
	if spans[0].Parent().IsValid() || spans[0].SpanContext().TraceID().String() == parent[3:35] || len(links) != 1 || links[0].SpanContext.SpanID().String() != parent[36:52] {
		t.Errorf("below %v, links %v", spans[0].Parent(), links)
	}
}

// A span that serves more spans than it may have links to has a link to the first one, below which it is.
func TestTheFirstSpansAreLinked(t *testing.T) {
	var ended spansOf
	tracer := tracing.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(&ended)), true)
	requests := make([]tracing.Span, 200)
	for i := range requests {
		_, requests[i] = tracer.Begin(t.Context(), "request")
	}
	_, batch := tracing.Together(t.Context(), "batch", requests)
	batch.End()
	links := ended[0].Links()
	if len(links) != 128 || links[0].SpanContext.SpanID() != ended[0].Parent().SpanID() || ended[0].DroppedLinks() != 0 {
		t.Errorf("%d links, %d dropped", len(links), ended[0].DroppedLinks())
	}
}

// spansOf keeps the spans that have ended.
type spansOf []sdk.ReadOnlySpan

func (s *spansOf) OnStart(context.Context, sdk.ReadWriteSpan) {}
func (s *spansOf) OnEnd(span sdk.ReadOnlySpan)                { *s = append(*s, span) }
func (s *spansOf) Shutdown(context.Context) error             { return nil }
func (s *spansOf) ForceFlush(context.Context) error           { return nil }

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
