package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
)

// countedConn counts the pieces that are sent.
type countedConn struct {
	net.Conn
	writes *atomic.Int32
}

func (c countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

type countedListener struct {
	net.Listener
	writes *atomic.Int32
}

func (l countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countedConn{c, l.writes}, err
}

// An answer of several kilobytes leaves in one piece, one after the other on the same connection, and no answer is held
// back or changed.
func TestAnswersAreSentWhole(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var writes atomic.Int32
	server := http.Server{ConnContext: wholeContext, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Length", strconv.Itoa(n))
		SendWhole(r, n)
		for rest := bytes.Repeat([]byte("\r\n\r\n+"), n/5); len(rest) > 0; {
			part := rest[:min(len(rest), 3000)]
			if _, err := w.Write(part); err != nil {
				t.Error(err)
			}
			rest = rest[len(part):]
		}
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(wholeListener{countedListener{l, &writes}}) }()
	for _, c := range []struct {
		method string
		n      int
		pieces int32 // 0: any number
	}{
		{"GET", 0, 1}, {"GET", 5, 1}, {"GET", 4000, 1}, {"GET", 6500, 1}, {"HEAD", 6500, 1}, {"GET", 30_000, 1}, {"GET", 5, 1}, {"GET", 200_000, 0}, {"GET", 6500, 1},
	} {
		writes.Store(0)
		r, err := http.NewRequestWithContext(t.Context(), c.method, fmt.Sprintf("http://%s/?n=%d", l.Addr(), c.n), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("\r\n\r\n+"), c.n/5)
		if c.method == "HEAD" {
			want = nil
		}
		if !bytes.Equal(body, want) || answer.ContentLength != int64(c.n) || c.pieces > 0 && writes.Load() != c.pieces {
			t.Errorf("%s of %d bytes: %d bytes in %d pieces", c.method, c.n, len(body), writes.Load())
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
