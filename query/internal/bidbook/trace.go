package bidbook

import (
	"context"
	"errors"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
)

// traced is try with a span, if the request has one. A read has a span for each path that it tries. Below it is a span for
// each lookup, from the moment on in which it has a place, and for a wait for a Min-LSN.
func traced[T any](ctx context.Context, c *Chain, s step, w Want, look lookup[T]) (data T, at Position, err error) {
	below, span := tracing.Start(ctx, s.path.span)
	if !span.On() {
		return try(ctx, c, s, w, look)
	}
	defer span.End()
	span.Text(tracing.ReadPath, string(s.path.name))
	data, at, err = try(below, c, s, w, func(ctx context.Context, r Reader, minLSN lsn.Position) (T, Position, error) {
		ctx, span := tracing.Start(ctx, "lookup")
		defer span.End()
		data, at, err := look(ctx, r, minLSN)
		tell(span, at, err)
		return data, at, err
	})
	tell(span, at, err)
	return data, at, err
}

// tell notes how far an answer goes. That something does not exist is an answer.
func tell(span tracing.Span, at Position, err error) {
	if at.At != (lsn.Position{}) {
		span.Text(tracing.LSN, at.At.String())
	}
	if !errors.Is(err, ErrNotFound) {
		span.Fail(err)
	}
}
