// Package feed follows live feeds of raffles as a client does (Server-Sent Events), and judges what came.
package feed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

const (
	pause = 300 * time.Millisecond // before a feed is opened again
	// silence is more than the time between two heartbeats of a feed.
	silence = 20 * time.Second
)

// Follower follows the live feed of one raffle and comes back at its last id whenever it is cut off.
type Follower struct {
	Client *http.Client
	// URL is that of the feed.
	URL string
	// Take gets each message. If it returns an error, the feed is opened again at the message before.
	Take func(context.Context, Message) error
	// Cut, if not nil, is told why the feed was cut off.
	Cut func(error)

	last string // the id to come back at
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := f.follow(ctx); err != nil && ctx.Err() == nil && f.Cut != nil {
			f.Cut(err)
		}
		if sleep.For(ctx, pause) != nil {
			return
		}
	}
}

var errSilent = errors.New("no heartbeat came")

// follow opens the feed once and reads to its end.
func (f *Follower) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer alarm.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	if f.last != "" {
		r.Header.Set("Last-Event-ID", f.last)
	}
	w, err := f.Client.Do(r)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", w.StatusCode)
	}
	err = read(w.Body, func(m Message) error {
		alarm.Reset(silence)
		if err := f.Take(ctx, m); err != nil {
			return err
		}
		if m.ID != "" {
			f.last = m.ID
		}
		return nil
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
