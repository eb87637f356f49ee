package live

import (
	"context"
	"errors"
	"time"

	"github.com/zishang520/engine.io-go-parser/packet"
	"github.com/zishang520/engine.io/v2/transports"
	"github.com/zishang520/engine.io/v2/types"
)

// drainTime is how long a client may take to receive what was sent before it is dropped.
const drainTime = 10 * time.Second

var errGone = errors.New("client gone")

// feed sends a subscription to the client until either ends.
func (m *member) feed(ctx context.Context, sub *Subscription) {
	defer sub.close()
	for {
		c, err := sub.next(ctx, nil)
		if err == nil {
			err = m.send(ctx, sub, c)
		}
		if errors.Is(err, ErrSlow) {
			m.hub.metrics.dropped.WithLabelValues(sub.transport).Inc()
			m.socket.Disconnect(true)
		}
		if err != nil {
			return
		}
	}
}

// send sends a chunk and all that follow it already, and waits until the client's transport has taken
// them: the library would buffer without bound.
func (m *member) send(ctx context.Context, sub *Subscription, c *chunk) error {
	var out []string
	for ; c != nil; c = sub.more() {
		list := sub.take(c)
		for i := range list {
			if list[i].name == nameReset {
				m.hub.metrics.resets.WithLabelValues(sub.transport).Inc()
			}
		}
		out = appendPackets(out, c, list)
	}
	if len(out) == 0 {
		return nil
	}
	sent := make(chan struct{})
	conn := m.socket.Conn()
	for i, text := range out {
		var done func(transports.Transport)
		if i == len(out)-1 {
			done = func(transports.Transport) { close(sent) }
		}
		conn.Send(types.NewStringBufferString(text), &packet.Options{}, done)
	}
	slow := time.NewTimer(drainTime)
	defer slow.Stop()
	select {
	case <-sent:
		return nil
	case <-slow.C:
		return ErrSlow
	case <-ctx.Done():
		return errGone
	case <-m.hub.ended:
		return ErrEnded
	}
}

// appendPackets appends events as packets of the socket.io protocol 5: type EVENT, namespace, and a JSON
// array of the event's name and arguments, which are the data and the id to resume behind it. Bids that
// follow each other are one bidList.
func appendPackets(out []string, c *chunk, list []event) []string {
	const head = "2" + Namespace + `,["`
	for len(list) > 0 {
		n := 1
		text := append([]byte(head), list[0].name...)
		if list[0].name == nameBid {
			text = append([]byte(head), `bidList",[`...)
			text = append(text, c.json(&list[0])...)
			for ; n < len(list) && list[n].name == nameBid; n++ {
				text = append(append(text, ','), c.json(&list[n])...)
			}
			text = append(text, ']')
		} else {
			text = append(append(text, `",`...), c.json(&list[0])...)
		}
		text = list[n-1].id.append(append(text, `,"`...))
		out = append(out, string(append(text, `"]`...)))
		list = list[n:]
	}
	return out
}
