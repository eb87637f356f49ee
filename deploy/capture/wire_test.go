package main

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"
)

// segment is an IPv4 packet with a TCP segment.
func segment(from, to uint16, flags byte, payload string) []byte {
	p := make([]byte, 40, 40+len(payload))
	p[0], p[9] = 4<<4|5, 6
	binary.BigEndian.PutUint16(p[2:], uint16(40+len(payload)))
	binary.BigEndian.PutUint16(p[20:], from)
	binary.BigEndian.PutUint16(p[22:], to)
	p[32], p[33] = 5<<4, flags
	return append(p, payload...)
}

func TestASecretIsFoundAcrossPackets(t *testing.T) {
	for what, c := range map[string]struct {
		packets [][]byte
		want    string // "": nothing is found
	}{
		"in one packet":        {[][]byte{segment(9, 1, 0, "..hidden..")}, "port 1: the secret"},
		"across two packets":   {[][]byte{segment(1, 9, 0, "..hid"), segment(1, 9, 0, "den..")}, "port 1: the secret"},
		"of two connections":   {[][]byte{segment(1, 9, 0, "..hid"), segment(1, 8, 0, "den..")}, ""},
		"of another port":      {[][]byte{segment(7, 9, 0, "..hidden.."), segment(1, 9, 0, "x")}, ""},
		"plain from its start": {[][]byte{segment(9, 1, syn, ""), segment(9, 1, 0, "GET /")}, "not TLS"},
		"TLS from its start":   {[][]byte{segment(9, 1, syn, ""), segment(9, 1, 0, "\x16\x03\x01")}, ""},
		"PostgreSQL with TLS":  {[][]byte{segment(9, 1, syn, ""), segment(9, 1, 0, string(sslRequest)), segment(1, 9, syn, ""), segment(1, 9, 0, "S")}, ""},
		"PostgreSQL without":   {[][]byte{segment(1, 9, syn, ""), segment(1, 9, 0, "N")}, "not TLS"},
		"nothing":              {nil, "nothing was heard"},
	} {
		w := newWire([]uint16{1}, map[string][]byte{"the secret": []byte("hidden")})
		for _, p := range c.packets {
			w.packet(p)
		}
		err := w.verdict(io.Discard, []uint16{1}, 0)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

func TestWhatIsNoTCPIsIgnored(t *testing.T) {
	w := newWire([]uint16{1}, nil)
	for _, p := range [][]byte{nil, {4 << 4}, segment(1, 2, 0, "")[:30], append([]byte{6 << 4}, make([]byte, 60)...)} {
		w.packet(p)
	}
	if len(w.streams) != 0 {
		t.Errorf("%v", w.streams)
	}
}
