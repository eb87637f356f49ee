package web

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
)

// Requests says which requests get a line in the log at info, and begins their spans. A request that failed (5xx) has a
// line with its cause. At debug each request has one. No line has more of a request than its method, its path without the
// parameters, its id and the id of its trace.
type Requests struct {
	// Sample: one in so many of the other requests has a line, which says how many before it had none (left_out). 0: none.
	Sample int
	// Slow: a request that took longer has a line; 0: none. Feeds and long polls stay open, so they are never slow.
	Slow time.Duration
	// Spans is nil if no traces are made.
	Spans *tracing.Tracer
}

// requestLog writes the lines.
type requestLog struct {
	Requests
	log    *slog.Logger
	left   atomic.Int64 // requests without a line since the last line of a sample
	failed atomic.Int64 // failures without a line since the last one that has
	// expected limits the lines of 502 to 504, so that an overloaded service does not drown in its log.
	expected rate.Sometimes
}

func newRequestLog(log *slog.Logger) *requestLog {
	return &requestLog{log: log, Requests: Requests{Sample: 1000, Slow: time.Second}, expected: rate.Sometimes{First: 10, Interval: time.Second}}
}

// request is one that was answered.
type request struct {
	*http.Request
	id    string // X-Request-Id
	route string
	// status is what was sent, or what would have been sent had the answer not begun.
	status int
	took   time.Duration
	err    error // nil, or what the handler returned
}

// note writes the line of a request, if it gets one, and ends its span.
func (l *requestLog) note(q request, w *statusWriter, span tracing.Span) {
	q.status = cmp.Or(w.failed, w.status)
	if span.On() {
		q.describe(span, w.Header())
	}
	switch {
	case q.status >= 500 && !errors.Is(q.Context().Err(), context.Canceled):
		l.fail(q)
	case l.Slow > 0 && q.took >= l.Slow && !w.open:
		l.write(slog.LevelInfo, "slow request", q)
	case l.log.Enabled(q.Context(), slog.LevelDebug):
		l.write(slog.LevelDebug, "request", q)
	case l.Sample > 0:
		if n := l.left.Add(1); n >= int64(l.Sample) && l.left.CompareAndSwap(n, 0) {
			l.write(slog.LevelInfo, "request", q, slog.Int64("left_out", n-1))
		}
	}
}

func (l *requestLog) fail(q request) {
	l.failed.Add(1)
	write := func() {
		l.write(slog.LevelWarn, "request failed", q, slog.Int64("left_out", max(l.failed.Swap(0)-1, 0)))
	}
	if q.status == http.StatusInternalServerError {
		write()
	} else {
		l.expected.Do(write)
	}
}

func (l *requestLog) write(level slog.Level, text string, q request, more ...slog.Attr) {
	attrs := append([]slog.Attr{slog.String("method", q.Method), slog.String("path", q.URL.Path), slog.String("route", q.route),
		slog.Int("status", q.status), slog.Float64("took_ms", float64(q.took.Microseconds())/1000), slog.String("request_id", q.id)}, more...)
	if q.err != nil {
		attrs = append(attrs, slog.Any("error", q.err))
	}
	l.log.LogAttrs(tracing.Named(q.Request), level, text, attrs...)
}

// describe tells the span of a request what became of it. The headers of the answer name positions and the path of a read.
func (q request) describe(span tracing.Span, answer http.Header) {
	span.Text("http.request.method", methodLabel(q.Method))
	span.Text("http.route", q.route)
	span.Text("url.path", q.URL.Path)
	span.Number("http.response.status_code", int64(q.status))
	span.Text("stock_pyramid.request_id", q.id)
	span.Text(tracing.LSN, first(answer["Commit-Lsn"], answer["Read-Lsn"]))
	span.Text(tracing.ReadPath, first(answer["Read-Path"]))
	if q.status >= 500 {
		span.Fail(q.err)
	}
	span.End()
}

func first(lists ...[]string) string {
	for _, l := range lists {
		if len(l) > 0 {
			return l[0]
		}
	}
	return ""
}
