//go:build unix

package primary

import (
	"errors"
	"net"
	"syscall"
)

// link looks at a connection without using it, so it may be asked at any time.
type link struct {
	raw       syscall.RawConn
	encrypted bool
}

// linkOf returns nil for a connection that can't be looked at.
func linkOf(c net.Conn) *link {
	over, encrypted := c.(interface{ NetConn() net.Conn }) // TLS
	if encrypted {
		c = over.NetConn()
	}
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return &link{raw, encrypted}
		}
	}
	return nil
}

// severed says whether the server has ended the connection. A server that dies closes its connections before another
// one can take its place, so a link that is not severed leads to the server that answered before. Bytes that wait to
// be read are an answer, unless they begin with the E of an ErrorResponse, which is the last message of a server that
// stops. Over TLS the first byte says nothing, but the server closes the connection right after that message.
func (l *link) severed() bool {
	if l == nil {
		return false
	}
	severed := false
	err := l.raw.Control(func(fd uintptr) {
		var first [1]byte
		n, _, err := syscall.Recvfrom(int(fd), first[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		case err != nil, n == 0:
			severed = true
		case l.encrypted:
			severed = ended(fd)
		default:
			severed = first[0] == 'E'
		}
	})
	return severed || err != nil
}
