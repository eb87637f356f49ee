package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// way is one direction of a TCP connection.
type way struct{ from, to uint16 }

// stream is what a way has carried.
type stream struct {
	begun bool   // its first byte was seen
	head  []byte // its first bytes
	tail  []byte // its last bytes, because a secret may lie across two packets
}

// wire looks at TCP segments of some ports.
type wire struct {
	ports   map[uint16]bool
	secrets map[string][]byte // by what they are
	streams map[way]*stream
	bytes   map[uint16]int // by the server's port
	found   map[string]bool
	opened  map[uint16]int // connections whose beginning was seen
	plain   map[uint16]int // new connections in plain text
}

func newWire(ports []uint16, secrets map[string][]byte) *wire {
	w := &wire{ports: map[uint16]bool{}, secrets: secrets, streams: map[way]*stream{}, bytes: map[uint16]int{}, found: map[string]bool{},
		opened: map[uint16]int{}, plain: map[uint16]int{}}
	for _, p := range ports {
		w.ports[p] = true
	}
	return w
}

const headSize, syn = 16, 0x02

// packet takes an IPv4 packet. It ignores what is no TCP of the ports.
func (w *wire) packet(p []byte) {
	if len(p) < 20 || p[0]>>4 != 4 || p[9] != 6 {
		return
	}
	segment := p[min(int(p[0]&15)*4, len(p)):min(int(binary.BigEndian.Uint16(p[2:])), len(p))]
	if len(segment) < 20 {
		return
	}
	at := way{binary.BigEndian.Uint16(segment), binary.BigEndian.Uint16(segment[2:])}
	server := at.to
	if w.ports[at.from] {
		server = at.from
	}
	if !w.ports[server] {
		return
	}
	s := w.streams[at]
	if s == nil || segment[13]&syn != 0 {
		s = &stream{begun: segment[13]&syn != 0}
		w.streams[at] = s
	}
	w.carry(s, server, segment[min(int(segment[12]>>4)*4, len(segment)):])
}

func (w *wire) carry(s *stream, server uint16, payload []byte) {
	if len(payload) == 0 {
		return
	}
	w.bytes[server] += len(payload)
	if s.begun && len(s.head) < headSize {
		was := len(s.head) == 0
		s.head = append(s.head, payload[:min(headSize-len(s.head), len(payload))]...)
		if was {
			w.opened[server]++
			if !encrypted(s.head) {
				w.plain[server]++
			}
		}
	}
	text := slices.Concat(s.tail, payload)
	for what, secret := range w.secrets {
		if bytes.Contains(text, secret) {
			w.found[fmt.Sprintf("port %d: %s", server, what)] = true
		}
	}
	s.tail = slices.Clone(text[max(0, len(text)-longest(w.secrets)):])
}

// sslRequest asks a PostgreSQL server for TLS, and S is its consent (Frontend/Backend Protocol, SSLRequest).
var sslRequest = []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}

// encrypted says whether a stream begins as TLS does: with a handshake record, or as PostgreSQL asks for it.
func encrypted(head []byte) bool {
	return bytes.HasPrefix(head, []byte{0x16, 3}) || bytes.Equal(head, sslRequest) || bytes.Equal(head, []byte("S"))
}

func longest(secrets map[string][]byte) int {
	n := 0
	for _, s := range secrets {
		n = max(n, len(s))
	}
	return n
}
