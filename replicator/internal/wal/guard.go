package wal

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// WhileAnswers returns a context that ends when the server stops answering (P13). It asks over a second connection
// every second, because a long statement can't have a deadline of its own: its duration does not show whether the
// server is gone. The caller must call stop.
func (s Server) WhileAnswers(ctx context.Context) (_ context.Context, stop func(), err error) {
	conn, err := s.Open(ctx, map[string]string{"application_name": "replicator-guard"})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		cancel(ask(ctx, conn))
		_ = Close(conn) // it has failed or is no longer needed
	}()
	return ctx, func() { cancel(context.Canceled); <-done }, nil
}

func ask(ctx context.Context, conn *pgx.Conn) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		answer, cancel := context.WithTimeout(ctx, AnswerTime)
		_, err := conn.Exec(answer, "SELECT 1")
		cancel()
		if err != nil {
			return fmt.Errorf("the server does not answer: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
