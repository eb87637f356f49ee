// Package sleep waits for a time, or until a context ends.
package sleep

import (
	"context"
	"time"
)

// For waits for d. If ctx ends first, it returns the cause.
func For(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Until waits until a time, which may have passed already. If ctx has ended, it returns the cause.
func Until(ctx context.Context, at time.Time) error {
	if d := time.Until(at); d > 0 {
		if err := For(ctx, d); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
