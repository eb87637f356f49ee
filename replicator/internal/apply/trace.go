package apply

import (
	"context"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
)

// trace begins the span of a flush. It is linked to the spans of all transactions of the flush that have one, and below the
// first of them. It begins when the first of their commits was received, so the wait for the flush before it, and for the
// gate, is a part of it.
func (a *applier) trace(b *projection.Batch) tracing.Span {
	var served []tracing.Served
	var from time.Time
	for _, t := range b.Traced {
		if s, ok := tracing.Parse(t.Parent, t.LSN.String()); ok {
			served = append(served, s)
		}
		if from.IsZero() {
			from = t.Received
		}
	}
	_, span := a.Spans.Join(context.Background(), "apply", from, served...)
	span.Past("wait for the flush", from, time.Now())
	span.Number("stock_pyramid.transactions", int64(b.Commits))
	span.Number("stock_pyramid.changes", int64(b.Changes))
	at, _ := b.Ends()
	span.Text(tracing.LSN, at.String())
	return span
}
