package resp

import (
	"errors"
	"strings"
	"testing"
)

func TestRepliesOfABuffer(t *testing.T) {
	r := Replies{rest: []byte("$3\r\na\r\n\r\n$-1\r\n:-7\r\n*2\r\n$0\r\n\r\n:1\r\n-ERR no\r\n:1\r\n")}
	if b := r.Bytes(); string(b) != "a\r\n" {
		t.Errorf("string %q", b)
	}
	if b := r.Bytes(); b != nil {
		t.Errorf("nil string %q", b)
	}
	if n := r.Int(); n != -7 {
		t.Errorf("integer %d", n)
	}
	if n, b, i := r.Len(), r.Bytes(), r.Int(); n != 2 || b == nil || len(b) != 0 || i != 1 {
		t.Errorf("array of %d: %q, %d", n, b, i)
	}
	if r.Err() != nil {
		t.Error(r.Err())
	}
	var refused Error
	if n := r.Int(); n != -1 || !errors.As(r.Err(), &refused) || refused != "ERR no" {
		t.Errorf("an error: %d, %v", n, r.Err())
	}
	if r.Len() != 0 || r.Bytes() != nil {
		t.Error("something after an error")
	}
}

func TestScannerRefusesWhatIsNotRESP(t *testing.T) {
	for _, s := range []string{
		"x\r\n", "\n", "$\r\n", "$-2\r\n", "$1x\r\n", "$99999999999999999999\r\n", "$1\r\nabc", "*1048577\r\n", ":x\r\n", ":1\n",
		"*1\r\n*1048576\r\n", "+" + strings.Repeat("x", maxLine),
	} {
		var sc Scanner
		if done, err := sc.Next([]byte(s)); done || !errors.Is(err, ErrProtocol) {
			t.Errorf("%.20q: %v, %v", s, done, err)
		}
	}
}

// Whatever bytes come and wherever they are cut, nothing panics, the Scanner finds the same end as in one piece, and
// Replies stays within the buffer.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "-ERR\r\n", ":12\r\n", "$3\r\nabc\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "*2\r\n*1\r\n:1\r\n$1\r\nx\r\n", "$5\r\nab"} {
		f.Add([]byte(s), uint(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint) {
		var whole, parts Scanner
		done, err := whole.Next(b)
		n := int(cut % uint(len(b)+1))
		done2, err2 := parts.Next(b[:n])
		if !done2 && err2 == nil {
			done2, err2 = parts.Next(b)
		}
		if err == nil && (done != done2 || err2 != nil || done && whole.Pos != parts.Pos) {
			t.Fatalf("%q cut at %d: %v %v at %d, whole: %v at %d", b, n, done2, err2, parts.Pos, done, whole.Pos)
		}
		if done && whole.Pos > len(b) {
			t.Fatalf("%q ends at %d", b, whole.Pos)
		}
		for _, read := range []func(*Replies){func(r *Replies) { r.Int() }, func(r *Replies) { r.Len() }, func(r *Replies) { r.Bytes() }} {
			r := Replies{rest: b}
			for r.err == nil && len(r.rest) > 0 {
				read(&r)
			}
		}
	})
}
