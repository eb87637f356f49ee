package client

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
	"time"
)

// message is a block of an event stream. A block without data is no event, but its id and its retry time count.
type message struct {
	name, id, data string
	retry          time.Duration
}

// messageLine bounds a line of an event stream, in bytes.
const messageLine = 1 << 20

// readMessages calls each for every block of an event stream until it ends (HTML standard, "Server-sent events"). A block
// that the end has cut off is left out.
func readMessages(in io.Reader, each func(message) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, messageLine)
	lines.Split(splitLines())
	var m message
	var data []string
	for first := true; lines.Scan(); first = false {
		line := lines.Text()
		if first {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			m.name = value
		case "data":
			data = append(data, value)
		case "id":
			if !strings.Contains(value, "\x00") {
				m.id = value
			}
		case "retry":
			if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
				m.retry = time.Duration(ms) * time.Millisecond
			}
		}
		if line != "" {
			continue
		}
		m.data = strings.Join(data, "\n")
		if err := each(m); err != nil {
			return err
		}
		m, data = message{}, nil
	}
	return lines.Err()
}

// splitLines splits at CR LF, CR and LF. It gives a line at its CR, without waiting for a LF that may not come.
func splitLines() bufio.SplitFunc {
	afterCR := false
	return func(data []byte, atEOF bool) (advance int, line []byte, err error) {
		skip := 0
		if len(data) > 0 && afterCR {
			afterCR = false
			if data[0] == '\n' {
				skip = 1
			}
		}
		if i := bytes.IndexAny(data[skip:], "\r\n"); i >= 0 {
			afterCR = data[skip+i] == '\r'
			return skip + i + 1, data[skip : skip+i], nil
		}
		if atEOF {
			return len(data), nil, nil
		}
		return skip, nil, nil
	}
}
