package resp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// read spells every reply of a stream, and the error that ended it.
func read(from io.Reader) string {
	r := NewReader(from, 0)
	var s strings.Builder
	for {
		reply, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrProtocol) {
				return "unknown error: " + err.Error()
			}
			return s.String() + fmt.Sprint(errors.Is(err, ErrProtocol))
		}
		fmt.Fprintf(&s, "%c%d%q ", reply.Kind, reply.N, reply.Text)
	}
}

func TestReplies(t *testing.T) {
	long := strings.Repeat("x", 3*minBuffer)
	for wire, want := range map[string]string{
		"+OK\r\n-ERR no\r\n:-12\r\n":        `+0"OK" -0"ERR no" :-12"" false`,
		"*2\r\n$1\r\na\r\n$0\r\n\r\n*0\r\n": `*2"" $1"a" $0"" *0"" false`,
		"$-1\r\n*-1\r\n":                    `_0"" _0"" false`,
		"$4\r\na\r\nb\r\n":                  `$4"a\r\nb" false`,
		"$98496\r\n" + long + "\r\n:1\r\n":  fmt.Sprintf(`$98496%q :1"" false`, long),
		"$2\r\nabc\r\n":                     "true",
		"+OK\n":                             "true",
		"?\r\n":                             "true",
		"\r\n":                              "true",
		":\r\n":                             "true",
		":1x\r\n":                           "true",
		":99999999999999999999\r\n":         "true",
		"$-2\r\n":                           "true",
		"$999999999999\r\n":                 "true",
		"+" + long + "\r\n":                 "true",
		"$5\r\nab":                          "false",
		"+O":                                "false",
		"$536870912\r\nshort":               "false",
	} {
		for name, from := range map[string]io.Reader{"whole": strings.NewReader(wire), "byte by byte": iotest.OneByteReader(strings.NewReader(wire))} {
			if got := read(from); got != want {
				t.Errorf("%.40q %s: %.80s, want %.80s", wire, name, got, want)
			}
		}
	}
}

func FuzzReaderIsTheSameHoweverItIsCut(f *testing.F) {
	f.Add([]byte("*2\r\n$1\r\na\r\n:5\r\n-ERR x\r\n$-1\r\n"))
	f.Add([]byte("$3\r\nab"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		if whole, cut := read(bytes.NewReader(wire)), read(iotest.OneByteReader(bytes.NewReader(wire))); whole != cut {
			t.Fatalf("whole %s, cut %s", whole, cut)
		}
	})
}

func TestSkipFindsTheErrorAndTheEnd(t *testing.T) {
	r := NewReader(strings.NewReader("*3\r\n:1\r\n*2\r\n$1\r\na\r\n-ERR deep\r\n*0\r\n+next\r\n"), 0)
	head, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Skip(head); err == nil || err.Error() != "ERR deep" {
		t.Errorf("the error within is %v", err)
	}
	if next, err := r.Next(); err != nil || string(next.Text) != "next" {
		t.Errorf("after it comes %q, %v", next.Text, err)
	}
}

func TestCommandsReachARealServer(t *testing.T) {
	server := testenv.StartRedis(t)
	o := Options{Network: "tcp", Addr: server.Addr(), DialTimeout: 5 * time.Second}
	open, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if _, err := open.Write([]byte("CONFIG SET requirepass secret\r\n")); err != nil {
		t.Fatal(err)
	}
	if reply, err := open.Next(); err != nil || reply.Err() != nil {
		t.Fatal(err, reply.Err())
	}
	o.Password, o.DB = "secret", 3
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var cmds Commands
	cmds.Begin(3)
	cmds.String("SET")
	cmds.Bytes([]byte("k\r\n"))
	cmds.Int(-42)
	cmds.Begin(2)
	cmds.String("ECHO")
	cmds.Head(2)
	cmds.Wire = append(cmds.Wire, "hi"...)
	cmds.Tail()
	cmds.Add("GET", "k\r\n")
	cmds.Add("CLIENT", "LIST")
	if _, err := c.Write(cmds.Wire); err != nil {
		t.Fatal(err)
	}
	var got []string
	for range cmds.N {
		reply, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(reply.Text))
	}
	if got[0] != "OK" || got[1] != "hi" || got[2] != "-42" || !strings.Contains(got[3], " db=3 ") {
		t.Errorf("%q", got)
	}
	o.Password = "wrong"
	var refused Error
	if _, err := Dial(context.Background(), o); !errors.As(err, &refused) {
		t.Errorf("a wrong password: %v", err)
	}
}
