package live

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// separator stands between the packets of a poll.
const separator = '\x1e'

// poll answers with the packets that wait for the client, or waits for the next ones.
func (c *session) poll(w http.ResponseWriter, r *http.Request) error {
	if !c.enter(&c.polled) {
		return engineError(w, r, 3, "Bad request")
	}
	defer c.exit(&c.polled)
	for {
		if list := c.take(); len(list) > 0 {
			if err := writePolled(w, flat(list)); err != nil {
				c.end(err) // the packets that it held are lost
				return err
			}
			written(list)
			return nil
		}
		if c.using() == probing {
			return writePolled(w, [][]byte{[]byte("6")}) // NOOP: the client waits for the end of its poll
		}
		web.StaysOpen(w)
		select {
		case <-c.wake:
		case <-r.Context().Done():
			return nil
		case <-c.ctx.Done():
			return writePolled(w, [][]byte{[]byte("1")}) // CLOSE
		}
	}
}

// receive takes the packets of a client.
func (c *session) receive(w http.ResponseWriter, r *http.Request) error {
	if !c.enter(&c.posting) {
		return engineError(w, r, 3, "Bad request")
	}
	defer c.exit(&c.posting)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		c.end(err)
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return nil
	}
	for packet := range bytes.SplitSeq(body, []byte{separator}) {
		if !c.budget.Allow() { // a request can't wait for long
			c.drop()
			break
		}
		c.packet(packet)
	}
	w.Header().Set("Content-Type", "text/html")
	_, err = io.WriteString(w, "ok")
	return err
}

// enter says whether the client may begin a poll or a post: one of each at a time, and none beside a websocket. A
// second poll or post at the same time ends the session, as the protocol says.
func (c *session) enter(busy *bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *busy {
		c.end(errGone)
		return false
	}
	if c.transport == upgraded {
		return false
	}
	*busy = true
	return true
}

func (c *session) exit(busy *bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*busy = false
}

func flat(list []batch) (packets [][]byte) {
	for _, b := range list {
		packets = append(packets, b.packets...)
	}
	return packets
}

func writePolled(w http.ResponseWriter, packets [][]byte) error {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(drainTime)) // fails only with the writers of tests
	for i, p := range packets {
		if i > 0 {
			if _, err := w.Write([]byte{separator}); err != nil {
				return err
			}
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}
