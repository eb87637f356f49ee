package verify

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// wire is a connection that speaks RESP2 and hands replies out without copying them: a client that makes
// a string of each of 24,000,000 members and scores takes longer than all the rest.
// Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	args int
}

const (
	wireBuffer  = 128 << 10
	wirePatient = 10 * time.Second // for one exchange
)

// dial opens a connection as go-redis would.
func dial(ctx context.Context, o *redis.Options) (*wire, error) {
	network := o.Network
	if network == "" {
		network = "tcp"
	}
	d := net.Dialer{Timeout: o.DialTimeout}
	conn, err := d.DialContext(ctx, network, o.Addr)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if o.TLSConfig != nil {
		conn = tls.Client(conn, o.TLSConfig)
	}
	w := &wire{conn: conn, in: bufio.NewReaderSize(conn, wireBuffer)}
	if err := w.greet(o); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

func (w *wire) greet(o *redis.Options) error {
	if o.Password != "" && o.Username != "" {
		w.command("AUTH", o.Username, o.Password)
	} else if o.Password != "" {
		w.command("AUTH", o.Password)
	}
	w.command("SELECT", strconv.Itoa(o.DB))
	queued := w.args
	if err := w.send(); err != nil {
		return err
	}
	for range queued {
		if err := w.okay(); err != nil {
			return err
		}
	}
	return nil
}

// command queues a command; args counts those that are queued.
func (w *wire) command(parts ...string) {
	w.args++
	w.out = append(w.out, '*')
	w.out = strconv.AppendInt(w.out, int64(len(parts)), 10)
	for _, p := range parts {
		w.out = append(w.out, "\r\n$"...)
		w.out = strconv.AppendInt(w.out, int64(len(p)), 10)
		w.out = append(w.out, "\r\n"...)
		w.out = append(w.out, p...)
	}
	w.out = append(w.out, "\r\n"...)
}

// send writes what is queued and gives the exchange its time.
func (w *wire) send() error {
	err := w.conn.SetDeadline(time.Now().Add(wirePatient))
	if err == nil {
		_, err = w.conn.Write(w.out)
	}
	w.out, w.args = w.out[:0], 0
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

func (w *wire) close() error { return w.conn.Close() }

// errReply is an error that Redis answered with.
type errReply string

func (e errReply) Error() string { return "redis: " + string(e) }

// header reads the first line of a reply: its kind, and the number or text after it.
func (w *wire) header() (kind byte, n int, text []byte, err error) {
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, nil, fmt.Errorf("redis: %w", err)
	}
	if len(line) < 3 {
		return 0, 0, nil, fmt.Errorf("redis: malformed reply %q", line)
	}
	kind, text = line[0], line[1:len(line)-2]
	switch kind {
	case '-':
		return kind, 0, nil, errReply(text)
	case '$', '*', ':':
		v, ok := whole(text)
		if !ok || v > math.MaxInt32 {
			return 0, 0, nil, fmt.Errorf("redis: malformed reply %q", line)
		}
		n = int(v)
	}
	return kind, n, text, nil
}

// okay reads a simple string, such as +OK or +QUEUED.
func (w *wire) okay() error {
	kind, _, _, err := w.header()
	if err == nil && kind != '+' {
		err = fmt.Errorf("redis: reply of kind %q instead of a simple string", kind)
	}
	return err
}

// array reads the beginning of an array; -1 is a null one.
func (w *wire) array() (int, error) {
	kind, n, _, err := w.header()
	if err == nil && kind != '*' {
		err = fmt.Errorf("redis: reply of kind %q instead of an array", kind)
	}
	return n, err
}

// bulk reads a string; nil is a null one. It is valid until the next read.
func (w *wire) bulk() ([]byte, error) {
	kind, n, _, err := w.header()
	if err != nil {
		return nil, err
	}
	if kind != '$' || n > wireBuffer-2 {
		return nil, fmt.Errorf("redis: reply of kind %q and %d bytes instead of a member", kind, n)
	}
	if n < 0 {
		return nil, nil
	}
	b, err := w.in.Peek(n + 2)
	if err == nil {
		_, err = w.in.Discard(n + 2)
	}
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return b[:n:n], nil
}

// members reads the reply of ZRANGE WITHSCORES.
func (w *wire) members(each func(member []byte, score float64)) error {
	n, err := w.array()
	if err != nil {
		return err
	}
	var kept []byte
	for range n / 2 {
		member, err := w.bulk()
		if err != nil {
			return err
		}
		kept = append(kept[:0], member...)
		text, err := w.bulk()
		if err != nil {
			return err
		}
		score, err := parseScore(text)
		if err != nil {
			return err
		}
		each(kept, score)
	}
	return nil
}

func parseScore(text []byte) (float64, error) {
	if v, ok := whole(text); ok {
		return float64(v), nil
	}
	score, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, fmt.Errorf("redis: score %q", text)
	}
	return score, nil
}

// whole reads a decimal integer of up to 18 digits.
func whole(text []byte) (int64, bool) {
	digits := text
	if len(text) > 0 && text[0] == '-' {
		digits = text[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	var v int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = 10*v + int64(c-'0')
	}
	if len(digits) != len(text) {
		v = -v
	}
	return v, true
}
