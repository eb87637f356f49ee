package live

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"time"
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
	s, err := h.subscribe("sse", raffleID, size, from)
	if err != nil {
		return err
	}
	defer s.close()
	out := &sse{w: w, control: http.NewResponseController(w), s: s}
	if err := out.run(r.Context()); errors.Is(err, ErrSlow) || errors.Is(err, os.ErrDeadlineExceeded) {
		h.metrics.dropped.WithLabelValues(s.transport).Inc()
	}
	return nil
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

// begin tells the position, so that a client that is cut off before the first event loses nothing. It is an
// event with data, since not every client keeps the id of a block without. Clients are told to come back
// at different times: they may all be cut off at once.
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

// write writes a chunk and all that follow it already, or a heartbeat, at once.
func (o *sse) write(c *chunk) error {
	if c == nil {
		// An id without data is no event, but clients keep it: with a size of which nothing comes the
		// last event's id would grow too old.
		return o.flush(append(o.s.at.append([]byte(":\nid: ")), frameEnd...))
	}
	if err := o.control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	var first int64
	for ; c != nil; c = o.s.more() {
		list := o.s.take(c)
		if o.s.node != nil && first == 0 && len(list) > 0 {
			first = list[0].at
		}
		if err := o.frames(c, list); err != nil {
			return err
		}
	}
	err := o.control.Flush()
	if first != 0 && err == nil {
		o.s.hub.metrics.lag.Observe(time.Since(time.UnixMicro(first)).Seconds())
	}
	return err
}

// frames writes events of a chunk; those that follow each other in its text are one Write.
func (o *sse) frames(c *chunk, list []event) error {
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].begin == list[n-1].end {
			n++
		}
		if _, err := o.w.Write(c.text[list[0].begin:list[n-1].end]); err != nil {
			return err
		}
		for i := range list[:n] {
			if list[i].name == nameReset {
				o.s.hub.metrics.resets.WithLabelValues(o.s.transport).Inc()
			}
		}
		list = list[n:]
	}
	return nil
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
