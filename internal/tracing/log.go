package tracing

import (
	"context"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// LogHandler adds the id of the trace to each line whose context has one.
func LogHandler(to slog.Handler) slog.Handler { return logHandler{to} }

type logHandler struct{ slog.Handler }

func (h logHandler) Handle(ctx context.Context, line slog.Record) error {
	if c := trace.SpanContextFromContext(ctx); c.HasTraceID() {
		line = line.Clone()
		line.AddAttrs(slog.String("trace_id", c.TraceID().String()))
	}
	return h.Handler.Handle(ctx, line)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }

// Named returns a context by which a line names the trace that a request names in its traceparent, even if this service
// makes no traces.
func Named(r *http.Request) context.Context {
	ctx := r.Context()
	if r.Header.Get("Traceparent") == "" || trace.SpanContextFromContext(ctx).HasTraceID() {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
}
