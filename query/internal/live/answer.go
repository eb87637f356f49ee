package live

import "encoding/json"

// quit ends the feed of a raffle. It is acknowledged in the same way if the raffle was not joined.
func (m *member) quit(ack string, args []any) {
	raffle, problem := parseLeave(args)
	if problem != "" {
		m.refuse(ack, problem)
		return
	}
	m.drop(raffle)
	m.acknowledge(ack, map[string]any{"raffle_id": raffle})
}

// drop ends the feed of a raffle, if there is one.
func (m *member) drop(raffle int64) {
	if feed := m.joined[raffle]; feed != nil {
		feed.cancel()
		<-feed.ended
		delete(m.joined, raffle)
	}
}

// forgetEnded forgets the feeds that have ended with the close of their raffle.
func (m *member) forgetEnded() {
	for raffle, feed := range m.joined {
		select {
		case <-feed.ended:
			m.drop(raffle)
		default:
		}
	}
}

func (m *member) refuse(ack, problem string) { m.session.refuse(Namespace+",", ack, problem) }

func (m *member) acknowledge(ack string, answer map[string]any) {
	m.session.acknowledge(Namespace+",", ack, answer)
}

// refuse tells the client what is wrong: in the acknowledgement if it wants one, otherwise by an event. prefix names
// the namespace as a packet does.
func (c *session) refuse(prefix, ack, problem string) {
	if ack != "" {
		c.acknowledge(prefix, ack, map[string]any{"error": problem})
		return
	}
	c.postJSON("42"+prefix, []any{"error", map[string]any{"message": problem}})
}

func (c *session) acknowledge(prefix, ack string, answer map[string]any) {
	if ack != "" {
		c.postJSON("43"+prefix+ack, []any{answer})
	}
}

func (c *session) postJSON(head string, arguments []any) {
	text, err := json.Marshal(arguments)
	if err != nil {
		c.io.hub.log.Error("socket.io", "error", err)
		return
	}
	c.post(append([]byte(head), text...))
}
