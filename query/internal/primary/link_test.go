//go:build unix

package primary

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// P10: a look at a connection tells whether the server at its other end has ended it.
func TestALinkIsSeveredByItsServer(t *testing.T) {
	for _, c := range []struct {
		name    string
		do      func(*net.TCPConn) error
		severed bool
	}{
		{"quiet", func(*net.TCPConn) error { return nil }, false},
		{"an answer waits", func(s *net.TCPConn) error { _, err := s.Write([]byte(" D....")); return err }, false},
		{"an error waits", func(s *net.TCPConn) error { _, err := s.Write([]byte(" E....")); return err }, true},
		{"closed", func(s *net.TCPConn) error { return s.Close() }, true},
		{"reset", func(s *net.TCPConn) error {
			if err := s.SetLinger(0); err != nil {
				return err
			}
			return s.Close()
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			mine, server := connected(t)
			l := linkOf(mine)
			if l == nil || l.severed() {
				t.Fatal("at first")
			}
			if err := c.do(server); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(c.name, "waits") { // once the first byte is there, the rest is, too
				if _, err := mine.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			if c.severed {
				testenv.Eventually(t, patience, "it is severed", l.severed)
				return
			}
			if l.severed() {
				t.Error("severed")
			}
		})
	}
	if (*link)(nil).severed() {
		t.Error("a connection that can't be looked at is severed")
	}
	mine, _ := connected(t)
	l := linkOf(mine)
	if err := mine.Close(); err != nil || !l.severed() {
		t.Errorf("closed by this side: %v", err)
	}
}

func connected(t *testing.T) (mine net.Conn, server *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if mine, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	other, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mine.Close(); other.Close() })
	return mine, other.(*net.TCPConn)
}

// Over TLS what waits can't be read by a look. A server that stops closes the connection after its last message.
func TestALinkWithTLSIsSeveredByItsServer(t *testing.T) {
	mine, server := connected(t)
	l := linkOf(tls.Client(mine, &tls.Config{MinVersion: tls.VersionTLS12}))
	if l == nil || l.severed() {
		t.Fatal("at first")
	}
	if _, err := server.Write([]byte("a record")); err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Read(make([]byte, 1)); err != nil || l.severed() {
		t.Fatalf("severed by an answer: %v", err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "it is severed", l.severed)
}
