package sleep

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestASleepEndsWithItsTimeOrItsContext(t *testing.T) {
	gone := errors.New("gone")
	for name, c := range map[string]struct {
		ends time.Duration // of the context, 0: never
		do   func(context.Context) error
		want error
		took time.Duration
	}{
		"its time":            {0, func(ctx context.Context) error { return For(ctx, time.Second) }, nil, time.Second},
		"its context":         {time.Millisecond, func(ctx context.Context) error { return For(ctx, time.Second) }, gone, time.Millisecond},
		"a time to come":      {0, func(ctx context.Context) error { return Until(ctx, time.Now().Add(time.Second)) }, nil, time.Second},
		"a time that is over": {0, func(ctx context.Context) error { return Until(ctx, time.Now().Add(-time.Second)) }, nil, 0},
		"not until a time":    {time.Millisecond, func(ctx context.Context) error { return Until(ctx, time.Now().Add(time.Second)) }, gone, time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, end := context.WithCancelCause(t.Context())
				if c.ends > 0 {
					time.AfterFunc(c.ends, func() { end(gone) })
				}
				begun := time.Now()
				if err := c.do(ctx); !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
				if took := time.Since(begun); took != c.took {
					t.Errorf("%v, want %v", took, c.took)
				}
				end(nil)
			})
		})
	}
	ended, end := context.WithCancelCause(t.Context())
	end(gone)
	if err := Until(ended, time.Now().Add(-time.Second)); !errors.Is(err, gone) {
		t.Errorf("a time that is over, with a context that has ended: %v", err)
	}
}
