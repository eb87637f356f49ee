package autopipe

import (
	"net"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// heldUp is a connection of a process that gets no processor from the moment when it has sent until the deadline is over and
// the reply is there.
type heldUp struct {
	net.Conn
	deadline time.Time
}

func (c *heldUp) SetDeadline(t time.Time) error {
	c.deadline = t
	return c.Conn.SetDeadline(t)
}

func (c *heldUp) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	<-time.After(time.Until(c.deadline))
	return n, err
}

// R6: a reply that is there when this process goes on counts, although the deadline is over.
func TestAReplyThatWasThereInTimeCounts_R6(t *testing.T) {
	_, redis, _ := start(t, nil)
	link, err := resp.Dial(t.Context(), resp.Options{Network: "tcp", Addr: redis.Addr(), DialTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{net: &heldUp{Conn: link.Conn}}
	defer c.close()
	for range 2 {
		var s resp.Scanner
		in := &buffer{}
		err := c.roundTrip(time.Now().Add(300*time.Millisecond), []byte("PING\r\n"), in, s.Next)
		if err != nil || string(in.b) != "+PONG\r\n" {
			t.Fatalf("R6: %q, %v", in.b, err)
		}
	}
}
