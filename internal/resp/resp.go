// Package resp speaks RESP2, the protocol of Redis, for the few connections on which a value must not cost
// an allocation. It knows nothing of commands. Source: Redis serialization protocol specification.
package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// ErrProtocol is returned for bytes that are not RESP2. The connection must be closed.
var ErrProtocol = errors.New("malformed redis reply")

// Error is an error reply, as the server worded it.
type Error string

// Error makes Error an error.
func (e Error) Error() string { return string(e) }

// Commands is a list of commands as they go over the wire. A command is Begin with the number of its
// arguments, its name included, and then as many arguments.
type Commands struct {
	Wire []byte
	N    int // how many commands
}

// Reset empties the list and keeps its memory.
func (c *Commands) Reset() { c.Wire, c.N = c.Wire[:0], 0 }

// AddAll appends other commands.
func (c *Commands) AddAll(all *Commands) {
	c.N += all.N
	c.Wire = append(c.Wire, all.Wire...)
}

// Begin begins a command of so many arguments.
func (c *Commands) Begin(arguments int) {
	c.N++
	c.Wire = appendHeader(c.Wire, '*', arguments)
}

// String adds an argument.
func (c *Commands) String(s string) {
	c.Wire = append(append(appendHeader(c.Wire, '$', len(s)), s...), '\r', '\n')
}

// Bytes adds an argument.
func (c *Commands) Bytes(b []byte) {
	c.Wire = append(append(appendHeader(c.Wire, '$', len(b)), b...), '\r', '\n')
}

// Head begins an argument of so many bytes, which the caller appends to Wire; Tail ends it.
func (c *Commands) Head(size int) { c.Wire = appendHeader(c.Wire, '$', size) }

// Tail ends an argument that Head began.
func (c *Commands) Tail() { c.Wire = append(c.Wire, '\r', '\n') }

// Int adds a number as an argument, in decimal.
func (c *Commands) Int(v int64) {
	var digits [20]byte
	c.Bytes(strconv.AppendInt(digits[:0], v, 10))
}

// Add adds a whole command.
func (c *Commands) Add(arguments ...string) {
	c.Begin(len(arguments))
	for _, a := range arguments {
		c.String(a)
	}
}

func appendHeader(dst []byte, kind byte, n int) []byte {
	return append(strconv.AppendInt(append(dst, kind), int64(n), 10), '\r', '\n')
}

// Kind is the first byte of a reply.
type Kind byte

// The kinds of replies. A null bulk or array is Null.
const (
	Simple  Kind = '+'
	Failure Kind = '-'
	Integer Kind = ':'
	Bulk    Kind = '$'
	Array   Kind = '*'
	Null    Kind = '_'
)

// Reply is one reply, or the head of an array, whose N elements follow as replies of their own. Text is
// valid until the next read.
type Reply struct {
	Kind Kind
	N    int64  // Integer: the value; Array: the number of elements
	Text []byte // Simple, Failure, Bulk
}

// Err is the reply's Error, if it is one.
func (r Reply) Err() error {
	if r.Kind != Failure {
		return nil
	}
	return Error(r.Text)
}

// Reader reads replies.
type Reader struct {
	from    *bufio.Reader
	scratch []byte // for a bulk that is larger than the buffer
	skip    int    // bytes of the buffer that the last reply still uses
}

// maxBulk is Redis' own limit on a string, 512 MB; maxLine bounds a line, because no length stands in front of it.
const (
	maxBulk   = 512 << 20
	maxLine   = 32 << 10
	minBuffer = maxLine + 64
)

// NewReader makes a reader with a buffer of so many bytes.
func NewReader(from io.Reader, size int) *Reader {
	return &Reader{from: bufio.NewReaderSize(from, max(size, minBuffer))}
}

// Next reads one reply.
func (r *Reader) Next() (Reply, error) {
	if err := r.release(); err != nil {
		return Reply{}, err
	}
	line, err := r.line()
	if err != nil {
		return Reply{}, err
	}
	reply := Reply{Kind: Kind(line[0]), Text: line[1:]}
	switch reply.Kind {
	case Simple, Failure:
		return reply, nil
	case Integer, Bulk, Array:
		if reply.N, err = parseInt(line[1:]); err != nil {
			return Reply{}, err
		}
		reply.Text = nil
	default:
		return Reply{}, fmt.Errorf("%w: kind %q", ErrProtocol, line[0])
	}
	switch {
	case reply.Kind == Integer:
		return reply, nil
	case reply.N == -1:
		return Reply{Kind: Null}, nil
	case reply.N < 0 || reply.N > maxBulk:
		return Reply{}, fmt.Errorf("%w: length %d", ErrProtocol, reply.N)
	case reply.Kind == Bulk:
		reply.Text, err = r.bulk(int(reply.N))
	}
	return reply, err
}

// Skip reads over the rest of a reply, which is the elements of an array, also nested ones. It returns the first
// error reply among them.
func (r *Reader) Skip(reply Reply) error {
	first := reply.Err()
	for left := elements(reply); left > 0; left-- {
		e, err := r.Next()
		if err != nil {
			return err
		}
		left += elements(e)
		if first == nil {
			first = e.Err()
		}
	}
	return first
}

func elements(r Reply) int64 {
	if r.Kind != Array {
		return 0
	}
	return r.N
}

// release gives the bytes of the last reply back to the buffer.
func (r *Reader) release() error {
	_, err := r.from.Discard(r.skip)
	r.skip = 0
	return err
}

// line reads a line and returns it without its CR LF. It has at least one byte.
func (r *Reader) line() ([]byte, error) {
	line, err := r.from.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: a line of over %d bytes", ErrProtocol, maxLine)
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	case len(line) < 3 || line[len(line)-2] != '\r':
		return nil, fmt.Errorf("%w: line %.20q", ErrProtocol, line)
	}
	return line[:len(line)-2], nil
}

// bulk reads n bytes and the CR LF behind them.
func (r *Reader) bulk(n int) ([]byte, error) {
	text, err := r.from.Peek(min(n+2, r.from.Size()))
	if n+2 <= r.from.Size() {
		r.skip = len(text)
	} else if err == nil {
		text, err = r.large(n + 2)
	}
	if err != nil {
		return nil, unexpected(err)
	}
	if text[n] != '\r' || text[n+1] != '\n' {
		return nil, fmt.Errorf("%w: no end of a bulk string", ErrProtocol)
	}
	return text[:n:n], nil
}

// large grows the scratch only as bytes arrive, because a length alone must not take memory.
func (r *Reader) large(n int) ([]byte, error) {
	const step = 1 << 20
	r.scratch = r.scratch[:0]
	for len(r.scratch) < n {
		begin := len(r.scratch)
		r.scratch = append(r.scratch, make([]byte, min(step, n-begin))...)
		if _, err := io.ReadFull(r.from, r.scratch[begin:]); err != nil {
			return nil, err
		}
	}
	return r.scratch, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func parseInt(b []byte) (int64, error) {
	v, digits := int64(0), b
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		digits = b[1:]
	}
	for _, d := range digits {
		if d < '0' || d > '9' || v > (math.MaxInt64-9)/10 {
			return 0, fmt.Errorf("%w: number %.20q", ErrProtocol, b)
		}
		v = 10*v + int64(d-'0')
	}
	if len(digits) == 0 {
		return 0, fmt.Errorf("%w: no number", ErrProtocol)
	}
	if negative {
		v = -v
	}
	return v, nil
}
