package drill

import (
	"bufio"
	"io"
	"strings"
)

// message is an event of a feed (HTML standard, Server-sent events).
type message struct{ name, id, data string }

// readMessages calls each for every message until the stream ends. A block with an id alone is a message without data.
func readMessages(in io.Reader, each func(message) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	var m message
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			m.name = value
		case "id":
			m.id = value
		case "data":
			m.data = value
		}
		if lines.Text() != "" {
			continue
		}
		if err := each(m); err != nil {
			return err
		}
		m = message{}
	}
	return lines.Err()
}
