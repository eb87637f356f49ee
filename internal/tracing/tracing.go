// Package tracing makes the spans of a trace. Without a Tracer each function here returns at once and allocates nothing,
// and so does each but Serve for a request that is not sampled. Package otlp makes a Tracer that sends spans to a collector.
//
// A request's trace begins in internal/web. It goes on wherever the request's context goes: Start makes a span below the one
// in the context. From command to the replicator it goes by the primary's WAL, in a logical message with Prefix.
package tracing

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The names of what is ours in spans. The other names are those of OpenTelemetry's semantic conventions.
const (
	LSN      = "stock_pyramid.lsn" // a position of the primary, T-X/X, or X/X on the timeline of the span's server
	Bids     = "stock_pyramid.bids"
	ReadPath = "stock_pyramid.read_path"
)

// Prefix is that of the logical message by which a transaction tells its span, in the form of the header traceparent.
const Prefix = "pyramid.trace"

const scope = "github.com/stock-pyramid/stock-pyramid"

// Tracer begins traces. A nil Tracer begins none.
type Tracer struct {
	tracer trace.Tracer
	trusts bool // clients
}

// New makes a Tracer whose spans go to a provider. If it trusts clients, they say by their traceparent to which trace a
// request belongs and whether it is sampled.
func New(provider trace.TracerProvider, trustsClients bool) *Tracer {
	return &Tracer{provider.Tracer(scope), trustsClients}
}

// Serve begins the span of a request that this service answers. If the request has a traceparent, it belongs to that
// trace if clients are trusted. Otherwise it begins a trace of its own, with a link to the client's span, because even the
// id of a trace can be chosen such that a sampler takes it.
func (t *Tracer) Serve(r *http.Request, name string) (context.Context, Span) {
	if t == nil {
		return r.Context(), Span{}
	}
	server := trace.WithSpanKind(trace.SpanKindServer)
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	if t.trusts {
		return t.begin(ctx, name, server)
	}
	if theirs := trace.SpanContextFromContext(ctx); theirs.IsRemote() {
		return t.begin(r.Context(), name, server, trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: theirs}))
	}
	return t.begin(r.Context(), name, server)
}

// Begin begins the span of work that no request has asked for.
func (t *Tracer) Begin(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.begin(ctx, name)
}

// Join begins a span for work that serves several spans of another program at once, from a moment on. It is below the first
// of them, so that one trace tells the whole, and has a link to each of the first 128.
func (t *Tracer) Join(ctx context.Context, name string, from time.Time, served ...Served) (context.Context, Span) {
	if t == nil || len(served) == 0 {
		return ctx, Span{}
	}
	ctx = trace.ContextWithRemoteSpanContext(ctx, served[0].context)
	return t.begin(ctx, name, linked(served), trace.WithTimestamp(from), trace.WithSpanKind(trace.SpanKindConsumer))
}

// Together is Join for spans of this program, which have not ended, from now on.
func Together(ctx context.Context, name string, spans []Span) (context.Context, Span) {
	if len(spans) == 0 {
		return ctx, Span{}
	}
	served := make([]Served, len(spans))
	for i, s := range spans {
		served[i] = Served{context: s.span.SpanContext()}
	}
	ctx = trace.ContextWithSpan(ctx, spans[0].span)
	ctx, span := spans[0].span.TracerProvider().Tracer(scope).Start(ctx, name, linked(served))
	for _, s := range spans {
		s.span.AddLink(trace.Link{SpanContext: span.SpanContext()})
	}
	return ctx, Span{span}
}

// maxLinks is how many links the SDK keeps. It would drop the first ones, of which the first names the trace.
const maxLinks = 128

func linked(served []Served) trace.SpanStartOption {
	served = served[:min(len(served), maxLinks)]
	links := make([]trace.Link, len(served))
	for i, s := range served {
		links[i] = s.link()
	}
	return trace.WithLinks(links...)
}

func (t *Tracer) begin(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, Span) {
	ctx, span := t.tracer.Start(ctx, name, options...)
	if !span.IsRecording() {
		span = nil
	}
	return ctx, Span{span}
}

// Served is a span that another span does the work of, perhaps in another program. If the span is that of a transaction, the
// position is that of the transaction.
type Served struct {
	context trace.SpanContext
	lsn     string
}

func (s Served) link() trace.Link {
	l := trace.Link{SpanContext: s.context}
	if s.lsn != "" {
		l.Attributes = []attribute.KeyValue{attribute.String(LSN, s.lsn)}
	}
	return l
}

// Parse reads what Parent has written, or returns false.
func Parse(parent, lsn string) (Served, bool) {
	carrier := propagation.MapCarrier{"traceparent": parent}
	c := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
	return Served{c, lsn}, c.IsValid() && c.IsSampled()
}

// Start begins a span below the one in the context. Without one it begins none and returns the context itself.
func Start(ctx context.Context, name string) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name)
	return ctx, Span{span}
}

// Of is the span in a context.
func Of(ctx context.Context) Span {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		return Span{span}
	}
	return Span{}
}

// Span is a span that is recorded. The zero Span is none, and its methods do nothing.
type Span struct{ span trace.Span }

// On says whether the span is recorded.
func (s Span) On() bool { return s.span != nil }

// Past adds a child span that lasted from one time to another.
func (s Span) Past(name string, from, to time.Time) {
	if s.span == nil {
		return
	}
	ctx := trace.ContextWithSpan(context.Background(), s.span)
	_, past := s.span.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithTimestamp(from))
	past.End(trace.WithTimestamp(to))
}

// Text sets an attribute, unless the value is empty.
func (s Span) Text(name, value string) {
	if s.span != nil && value != "" {
		s.span.SetAttributes(attribute.String(name, value))
	}
}

// Number sets an attribute.
func (s Span) Number(name string, value int64) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int64(name, value))
	}
}

// Event notes that something happens now.
func (s Span) Event(name string) {
	if s.span != nil {
		s.span.AddEvent(name)
	}
}

// Fail marks the span as failed. The text of the error must be fit for a log.
func (s Span) Fail(err error) {
	if s.span != nil && err != nil {
		s.span.SetStatus(codes.Error, err.Error())
	}
}

// End ends the span. Every span must be ended.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// Parent is the span in the form of the header traceparent (W3C Trace Context); "" if there is none.
func (s Span) Parent() string {
	if s.span == nil {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), s.span), carrier)
	return carrier["traceparent"]
}
