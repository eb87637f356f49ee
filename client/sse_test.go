package client

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func collect(in io.Reader) (list []message, err error) {
	err = readMessages(in, func(m message) error {
		list = append(list, m)
		return nil
	})
	return list, err
}

func TestMessagesOfAStream(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []message
	}{
		"an event":           {"event: bid\nid: 1.2-3\ndata: {}\n\n", []message{{name: "bid", id: "1.2-3", data: "{}"}}},
		"two":                {"data:1\n\ndata:2\n\n", []message{{data: "1"}, {data: "2"}}},
		"a retry time":       {"retry: 700\nevent: start\ndata: 1\n\n", []message{{name: "start", data: "1", retry: 700 * time.Millisecond}}},
		"a refusal":          {"retry: 4000\n\n", []message{{retry: 4 * time.Second}}},
		"a heartbeat":        {":\nid: 7\n\n", []message{{id: "7"}}},
		"several lines":      {"data: a\ndata\ndata: b\n\n", []message{{data: "a\n\nb"}}},
		"CR LF":              {"data: a\r\nid: 1\r\n\r\ndata: b\r\n\r\n", []message{{data: "a", id: "1"}, {data: "b"}}},
		"CR":                 {"data: a\r\rdata: b\r\r", []message{{data: "a"}, {data: "b"}}},
		"a byte order mark":  {"\ufeffdata: a\n\n", []message{{data: "a"}}},
		"one space less":     {"data:  a:b \n\n", []message{{data: " a:b "}}},
		"what is not known":  {"colour: red\nretry: soon\nid: a\x00b\ndata: a\n\n", []message{{data: "a"}}},
		"cut off":            {"data: a\n\nevent: bid\ndata: b\n", []message{{data: "a"}}},
		"cut off in a line":  {"data: a\n\ndata: b", []message{{data: "a"}}},
		"nothing but breaks": {"\n\r\n", []message{{}, {}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, in := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
				if got, err := collect(in); err != nil || !slices.Equal(got, c.want) {
					t.Errorf("%+v, %v, want %+v", got, err, c.want)
				}
			}
		})
	}
	if _, err := collect(strings.NewReader("data: " + strings.Repeat("a", messageLine))); !errors.Is(err, bufio.ErrTooLong) {
		t.Error(err)
	}
}

// A message is there with its last line break, although a LF may follow the CR.
func TestAMessageDoesNotWaitForTheNext(t *testing.T) {
	in, out := io.Pipe()
	came := make(chan message, 1)
	done := make(chan error, 1)
	go func() { done <- readMessages(in, func(m message) error { came <- m; return nil }) }()
	if _, err := io.WriteString(out, "data: a\r\n\r"); err != nil {
		t.Fatal(err)
	}
	if m := <-came; m.data != "a" {
		t.Errorf("%+v", m)
	}
	if err := errors.Join(out.Close(), <-done); err != nil {
		t.Error(err)
	}
}

// How a stream is cut into reads does not matter, nor which of the line breaks it has.
func FuzzMessages(f *testing.F) {
	for _, text := range []string{"event: bid\nid: 1\ndata: {}\n\n", "data: a\r\rdata: b\r\n\r\n:\n\n", "retry: 7\n\nid: \x00\n\n", "\ufeffdata\n\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := collect(strings.NewReader(text))
		if err != nil {
			return // a line that is too long
		}
		plain := strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
		for name, in := range map[string]io.Reader{
			"byte by byte": iotest.OneByteReader(strings.NewReader(text)), "in halves": iotest.HalfReader(strings.NewReader(text)),
			"with LF": strings.NewReader(plain), "with CR LF": strings.NewReader(strings.ReplaceAll(plain, "\n", "\r\n")),
		} {
			if got, err := collect(in); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
			}
		}
		for _, m := range want {
			if strings.ContainsAny(m.name+m.id, "\r\n\x00") && !strings.Contains(m.name, "\x00") || m.retry < 0 {
				t.Errorf("%+v", m)
			}
		}
	})
}
