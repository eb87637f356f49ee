package resp

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// The bounds of a reply that is kept in memory as a whole. A larger reply is refused.
const (
	maxReplyBulk   = 64 << 20 // bytes
	maxReplyValues = 1 << 20  // of one reply, nested ones included
)

// Scanner finds the ends of replies in a buffer that is still being filled.
type Scanner struct {
	Pos  int // the end of the last reply that Next found
	open int // values that the current reply still lacks; 0: between two replies
}

// Next moves Pos behind the next reply. If the reply's end has not arrived yet, Next returns false; it is called again with
// the same bytes and more.
func (s *Scanner) Next(b []byte) (bool, error) {
	if s.open == 0 {
		s.open = 1
	}
	for s.open > 0 {
		kind, n, next, err := header(b, s.Pos)
		if next == 0 || err != nil {
			return false, err
		}
		switch {
		case kind == '$' && n >= 0:
			if next += n + 2; next > len(b) {
				return false, nil
			}
			if b[next-2] != '\r' || b[next-1] != '\n' {
				return false, fmt.Errorf("%w: bulk string without an end", ErrProtocol)
			}
		case kind == '*' && n > 0:
			if s.open += n; s.open > maxReplyValues {
				return false, fmt.Errorf("%w: too many values", ErrProtocol)
			}
		}
		s.Pos = next
		s.open--
	}
	return true, nil
}

// header reads the line at pos: its type, its number (the length of a string or an array, -1: nil, or the value of an
// integer) and where the next line begins, or 0 if the line's end has not arrived yet.
func header(b []byte, pos int) (kind byte, n, next int, err error) {
	if pos >= len(b) {
		return 0, 0, 0, nil
	}
	end := bytes.IndexByte(b[pos:min(len(b), pos+maxLine)], '\n')
	if end < 0 {
		if len(b)-pos >= maxLine {
			err = fmt.Errorf("%w: line too long", ErrProtocol)
		}
		return 0, 0, 0, err
	}
	kind, next = b[pos], pos+end+1
	if end < 2 || b[next-2] != '\r' {
		return 0, 0, 0, fmt.Errorf("%w: line without an end", ErrProtocol)
	}
	switch line := b[pos+1 : next-2]; kind {
	case '+', '-':
		return kind, 0, next, nil
	case ':':
		n, err = strconv.Atoi(string(line))
	case '$':
		n, err = length(line, maxReplyBulk)
	case '*':
		n, err = length(line, maxReplyValues)
	default:
		err = fmt.Errorf("%w: type %q", ErrProtocol, kind)
	}
	if err != nil {
		return 0, 0, 0, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return kind, n, next, nil
}

// length reads a length up to limit, or -1.
func length(line []byte, limit int) (n int, err error) {
	if string(line) == "-1" {
		return -1, nil
	}
	for _, c := range line {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("length %q", line)
		}
		if n = 10*n + int(c-'0'); n > limit {
			return 0, fmt.Errorf("length above %d", limit)
		}
	}
	if len(line) == 0 {
		return 0, errors.New("no length")
	}
	return n, nil
}

// Replies reads the replies of a buffer, one after the other. It remembers the first failure and returns nothing from
// then on; an error reply counts as a failure (Error). The bytes that it returns are parts of the buffer.
type Replies struct {
	rest []byte
	err  error
}

// NewReplies reads the replies in b.
func NewReplies(b []byte) Replies { return Replies{rest: b} }

// Err is the first failure so far.
func (r *Replies) Err() error { return r.err }

func (r *Replies) take(want byte) int {
	if r.err != nil {
		return -1
	}
	kind, n, next, err := header(r.rest, 0)
	switch {
	case err != nil:
		r.err = err
	case next == 0:
		r.err = fmt.Errorf("%w: it ends early", ErrProtocol)
	case kind == '-':
		r.err = Error(r.rest[1 : next-2])
	case kind != want:
		r.err = fmt.Errorf("%w: %q where %q belongs", ErrProtocol, kind, want)
	default:
		r.rest = r.rest[next:]
		return n
	}
	return -1
}

// Int reads an integer.
func (r *Replies) Int() int {
	return r.take(':')
}

// Len reads the beginning of an array and returns how many values follow.
func (r *Replies) Len() int {
	return max(r.take('*'), 0)
}

// Bytes reads a bulk string. It returns nil for a null one.
func (r *Replies) Bytes() []byte {
	n := r.take('$')
	if n < 0 {
		return nil
	}
	if n+2 > len(r.rest) {
		r.err = fmt.Errorf("%w: it ends early", ErrProtocol)
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n+2:]
	return b
}
