package otlp

import (
	"context"
	"log/slog"
)

// bare writes the library's own lines without their values, because it quotes variables that it can't read, and these may
// hold a token or a password. No line is an error, because the service works without traces.
type bare struct{ to slog.Handler }

func (h bare) Enabled(ctx context.Context, level slog.Level) bool { return h.to.Enabled(ctx, level) }

func (h bare) Handle(ctx context.Context, line slog.Record) error {
	return h.to.Handle(ctx, slog.NewRecord(line.Time, min(line.Level, slog.LevelWarn), "OpenTelemetry: "+line.Message, 0))
}

func (h bare) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h bare) WithGroup(string) slog.Handler      { return h }
