package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// Times of a feed. Heartbeats must come more often than the shortest time-out of a proxy in between.
const (
	heartbeat = 15 * time.Second
	writeTime = 5 * time.Second
)

// ServeSSE feeds a client with Server-Sent Events until it goes or the hub ends. An error is returned
// only before anything is written.
func (h *Hub) ServeSSE(w http.ResponseWriter, r *http.Request, raffleID int64, size int16, from Position) error {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return nil
	}
	s, err := h.subscribe("sse", h.bounds.Proxies.Client(r), raffleID, size, from)
	if err != nil {
		header.Del("Content-Type")
		return err
	}
	defer s.close()
	web.StaysOpen(w)
	out := &sse{w: w, control: http.NewResponseController(w), s: s}
	if err := out.run(r.Context()); errors.Is(err, ErrSlow) || errors.Is(err, os.ErrDeadlineExceeded) {
		h.metrics.dropped.WithLabelValues(s.transport).Inc()
	}
	return nil
}

// WantsEvents says whether a request is that of an EventSource.
func WantsEvents(r *http.Request) bool {
	return strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/event-stream")
}

// Refuse tells an EventSource to come back in 1 to 5 s. An EventSource gives up for ever on any status but 200 (HTML
// standard, Server-sent events, "fail the connection"), so a refusal is an empty feed, and is counted.
func (h *Hub) Refuse(w http.ResponseWriter) error {
	h.metrics.refused.WithLabelValues("sse").Inc()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, err := fmt.Fprintf(w, "retry: %d\n\n", 1000+rand.IntN(4000))
	return err
}

// sse writes one feed.
type sse struct {
	w       http.ResponseWriter
	control *http.ResponseController
	s       *Subscription
}

func (o *sse) run(ctx context.Context) error {
	// The server's time limits are for requests that end.
	if err := o.control.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if err := o.begin(); err != nil {
		return err
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		c, err := o.s.next(ctx, beat.C)
		if err != nil {
			return err
		}
		if err := o.write(c); err != nil {
			return err
		}
	}
}

// begin sends the feed's position, so that a client that is cut off before the first event loses nothing. The
// position comes with an event, because not every client keeps the id of a block without data. The retry times are
// random, because all clients may be cut off at once.
func (o *sse) begin() error {
	var c chunk
	c.text = strconv.AppendInt([]byte("retry: "), 500+rand.Int64N(1000), 10)
	c.text = append(c.text, '\n')
	if at := o.s.at; at != (Position{}) {
		c.place(nameStart, o.s.room.raffle, at, o.s.hub.presentTimeline())
	} else {
		c.text = append(c.text, '\n')
	}
	return o.flush(c.text)
}

// comeBackNever is the retry time behind a close, in milliseconds: a day.
const comeBackNever = "retry: 86400000\n\n"

// write writes a chunk and the chunks that are already published after it. For nil it writes a heartbeat. Behind the
// close of the raffle it returns errClosed. An EventSource that is not closed then would come back at once, so it is
// told to come back in a day.
func (o *sse) write(c *chunk) error {
	if c == nil {
		// An id without data is no event, but an EventSource keeps it. Without it, the last id of a subscriber whose
		// size gets no events would grow too old.
		return o.flush(append(o.s.at.append([]byte(":\nid: ")), frameEnd...))
	}
	if err := o.control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	var first int64
	for ; c != nil; c = o.s.more() {
		part := o.s.take(c)
		if o.s.node != nil && first == 0 && len(part.events) > 0 {
			first = part.events[0].at
		}
		if len(part.events) == 0 {
			continue
		}
		if _, err := o.w.Write(part.frames()); err != nil {
			return err
		}
		o.s.hub.metrics.resets.WithLabelValues(o.s.transport).Add(float64(part.resets()))
		if part.closes() {
			return errors.Join(o.flush([]byte(comeBackNever)), errClosed)
		}
	}
	err := o.control.Flush()
	if first != 0 && err == nil {
		o.s.hub.metrics.lag.Observe(o.s.hub.Clock.Now().Sub(time.UnixMicro(first)).Seconds())
	}
	return err
}

func (o *sse) flush(text []byte) error {
	if err := o.control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	if _, err := o.w.Write(text); err != nil {
		return err
	}
	return o.control.Flush()
}
