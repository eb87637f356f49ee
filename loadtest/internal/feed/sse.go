package feed

import (
	"bufio"
	"io"
	"strings"
)

// Message is an event of a feed (HTML standard, Server-sent events).
type Message struct{ Name, ID, Data string }

// read calls each for every message until the stream ends. A block with an id alone is a message without data.
func read(in io.Reader, each func(Message) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	var m Message
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			m.Name = value
		case "id":
			m.ID = value
		case "data":
			m.Data = value
		}
		if lines.Text() != "" {
			continue
		}
		if err := each(m); err != nil {
			return err
		}
		m = Message{}
	}
	return lines.Err()
}
