package service

import (
	"context"
	"fmt"
	"log/slog"
)

// Lines takes the lines that a library, such as go-redis, would print. They go to the log at level debug, because the
// service itself says at a higher level what matters.
type Lines struct{ Log *slog.Logger }

// Printf logs a line.
func (l Lines) Printf(ctx context.Context, format string, v ...any) {
	l.Log.DebugContext(ctx, fmt.Sprintf(format, v...))
}
