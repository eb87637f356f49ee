// Package lsn holds positions in PostgreSQL's write-ahead log (WAL) and the history of timelines that makes them
// comparable. A position without its timeline means nothing after a promotion, because two timelines use the same
// numbers for different WAL.
package lsn

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a log sequence number: an offset in the WAL of one timeline, in bytes.
type LSN uint64

// Parse reads PostgreSQL's text form X/X: two hexadecimal numbers of at most 32 bits.
func Parse(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	h, err1 := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("LSN %q is not of the form X/X", s)
	}
	return LSN(h<<32 | l), nil
}

// String gives PostgreSQL's text form.
func (l LSN) String() string {
	var b [17]byte
	return string(l.append(b[:0]))
}

func (l LSN) append(dst []byte) []byte {
	dst = appendHex(dst, uint64(l>>32))
	return appendHex(append(dst, '/'), uint64(l&0xffffffff))
}

const digits = "0123456789ABCDEF"

func appendHex(dst []byte, v uint64) []byte {
	shift := 60
	for shift > 0 && v>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, digits[v>>shift&15])
	}
	return dst
}

// Position is an LSN of a timeline. Timeline 0 stands for the present timeline, whichever it is. The plain form X/X
// has timeline 0.
type Position struct {
	Timeline uint32
	LSN      LSN
}

// ParsePosition reads T-X/X (timeline in decimal, LSN as in Parse) or the plain X/X, which has timeline 0. It refuses
// T = 0 and leading zeros of T, so that a position has one text.
func ParsePosition(s string) (Position, error) {
	timeline, rest, ok := strings.Cut(s, "-")
	if !ok {
		at, err := Parse(s)
		return Position{LSN: at}, err
	}
	t, err := strconv.ParseUint(timeline, 10, 32)
	if err != nil || t == 0 || timeline[0] < '1' || timeline[0] > '9' {
		return Position{}, fmt.Errorf("position %q is not of the form T-X/X", s)
	}
	at, err := Parse(rest)
	return Position{uint32(t), at}, err
}

// String is the form that ParsePosition reads.
func (p Position) String() string {
	var b [28]byte
	return string(p.Append(b[:0]))
}

// Append appends what String returns.
func (p Position) Append(dst []byte) []byte {
	if p.Timeline != 0 {
		dst = append(strconv.AppendUint(dst, uint64(p.Timeline), 10), '-')
	}
	return p.LSN.append(dst)
}
