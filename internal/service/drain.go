package service

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// drain is the time after a signal in which the service says that it is not ready and answers all the same, so that
// the front door sends it nothing more before it stops. HAProxy does not repeat a write that it has sent, so no write
// may meet a closed listener or a connection that is being closed.
type drain struct {
	delay time.Duration
	began atomic.Bool
	tell  []func(context.Context)
}

var errDraining = errors.New("the service is about to stop")

// run returns at the end of the delay or when ctx ends.
func (d *drain) run(ctx context.Context, log *slog.Logger) {
	d.began.Store(true)
	if d.delay == 0 {
		return
	}
	log.InfoContext(ctx, "draining", "delay", d.delay.String())
	ctx, cancel := context.WithTimeout(ctx, d.delay)
	defer cancel()
	for _, do := range d.tell {
		go do(ctx)
	}
	<-ctx.Done()
}

func (d *drain) unready(ready web.Ready) web.Ready {
	return func(ctx context.Context) error {
		if d.began.Load() {
			return errDraining
		}
		return ready(ctx)
	}
}

// last closes each connection after its next answer while the service drains, so that hardly an idle one is left at
// the end. The client knows that from the answer and sends nothing more on the connection.
func (d *drain) last(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.began.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}
