// Package sink writes to Redis only as long as nobody else does: every write and every removal is bound to a guard, a key
// whose value says what is there and who wrote it.
package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

var (
	// ErrFenced says that the guard is not what this replicator last wrote: Redis lost data, or
	// another replicator took over. Nothing was written.
	ErrFenced = errors.New("redis does not hold what this replicator wrote last")
	// ErrTorn says that Redis refused a command within a MULTI, which does not undo the others.
	ErrTorn = errors.New("redis applied only a part of a flush")
)

// FlushTime bounds one round trip. A flush that hangs must leave time to stop within 10 s.
const FlushTime = 5 * time.Second

// Writer writes to Redis under a guard: a key whose value says what is there. Every write changes the
// guard in the same MULTI and happens only if the guard still is what was written last (P2).
// A WATCH for the next write is always armed by the round trip of the one before, on a dedicated
// connection that never reconnects: a reconnect would lose the WATCH without a word.
type Writer struct {
	conn  *resp.Conn
	guard string
	value string // what the guard held when the WATCH was armed; "" if missing
	out   resp.Commands

	Probe  int      // which command of the next write is asked for the number that it answers; -1: none
	Probed int64    // what it answered
	Lost   []string // parts that scripts of the last write have found to be lost
}

// Arm watches the guard. It fails unless the guard holds want.
func Arm(ctx context.Context, client *redis.Client, guard, want string) (*Writer, error) {
	conn, err := resp.Dial(ctx, resp.ServerOf(client.Options()))
	if err != nil {
		return nil, err
	}
	w := &Writer{conn: conn, guard: guard, value: want, Probe: -1}
	if err := w.watch(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Close closes the connection.
func (w *Writer) Close() error { return w.conn.Close() }

// Value is what the guard holds; "" if it is missing.
func (w *Writer) Value() string { return w.value }

// Guard makes a Writer of another guard on the same connection. It fails unless that guard holds want. A WATCH on
// the guard before stays armed, so the next write also fails if that one has changed.
func (w *Writer) Guard(guard, want string) (*Writer, error) {
	next := &Writer{conn: w.conn, guard: guard, value: want}
	return next, next.watch()
}

// watch arms the WATCH on the guard and compares what it holds.
func (w *Writer) watch() error {
	w.out.Reset()
	w.rearm()
	if err := w.send(); err != nil {
		return err
	}
	return w.rearmed()
}

// Verify reads the guard without writing anything; the WATCH stays armed.
func (w *Writer) Verify() error {
	w.out.Reset()
	w.out.Add("GET", w.guard)
	if err := w.send(); err != nil {
		return err
	}
	return w.check()
}

// Write applies commands and sets the guard to value, all or nothing, in one round trip; an empty value
// takes the guard away. After an error the Writer must be closed.
func (w *Writer) Write(value string, commands func(*resp.Commands)) error {
	w.out.Reset()
	w.out.Add("MULTI")
	w.Probe, w.Probed, w.Lost = -1, 0, nil
	commands(&w.out)
	if value == "" {
		w.out.Add("DEL", w.guard)
	} else {
		w.out.Add("SET", w.guard, value)
	}
	queued := w.out.N - 1
	w.out.Add("EXEC")
	w.value = value
	w.rearm()
	if err := w.send(); err != nil {
		return err
	}
	if err := w.outcome(queued); err != nil {
		return err
	}
	return w.rearmed()
}

func (w *Writer) rearm() {
	w.out.Add("WATCH", w.guard)
	w.out.Add("GET", w.guard)
}

func (w *Writer) send() error {
	if err := w.conn.SetDeadline(time.Now().Add(FlushTime)); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if _, err := w.conn.Write(w.out.Wire); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// next reads a reply, or returns the error that it is.
func (w *Writer) next(what string) (resp.Reply, error) {
	reply, err := w.conn.Next()
	if err == nil {
		err = reply.Err()
	}
	if err != nil {
		return reply, fmt.Errorf("redis %s: %w", what, err)
	}
	return reply, nil
}

// rearmed reads the replies of rearm: the guard as read after the WATCH must be what it was set to.
func (w *Writer) rearmed() error {
	if _, err := w.next("watch"); err != nil {
		return err
	}
	return w.check()
}

func (w *Writer) check() error {
	got, err := w.next("guard")
	if err != nil {
		return err
	}
	if string(got.Text) != w.value {
		return fmt.Errorf("%w: %s is %q instead of %q", ErrFenced, w.guard, got.Text, w.value)
	}
	return nil
}

// outcome reads the replies of a MULTI: EXEC answers nil if the guard was touched, an error if a command
// could not be queued (nothing was applied), and an array with an error for each that failed.
func (w *Writer) outcome(queued int) error {
	_, err := w.next("multi")
	if err != nil {
		return err
	}
	var refused error
	for range queued {
		if _, err := w.next("refused a command"); err != nil && refused == nil {
			var reply resp.Error
			if refused = err; !errors.As(err, &reply) {
				return err
			}
		}
	}
	done, err := w.conn.Next()
	switch {
	case err != nil:
		return fmt.Errorf("redis exec: %w", err)
	case refused != nil:
		return refused
	case done.Kind == resp.Null:
		return fmt.Errorf("%w: exec answered nil", ErrFenced)
	case done.Kind != resp.Array:
		return fmt.Errorf("redis exec: %w", done.Err())
	}
	return w.executed(done.N)
}

func (w *Writer) executed(n int64) error {
	var torn error
	for i := range n {
		reply, err := w.conn.Next()
		if err != nil {
			return fmt.Errorf("redis exec: %w", err)
		}
		w.note(int(i), reply)
		err = w.conn.Skip(reply)
		var failed resp.Error
		switch {
		case err == nil, errors.As(err, &failed) && isRepeated(failed):
		case failed == "":
			return fmt.Errorf("redis exec: %w", err)
		case torn == nil:
			torn = fmt.Errorf("%w: %w", ErrTorn, err)
		}
	}
	return torn
}

// note keeps what a command of a MULTI has found out.
func (w *Writer) note(i int, reply resp.Reply) {
	if i == w.Probe {
		w.Probed = reply.N
	}
	if part, ok := bytes.CutPrefix(reply.Text, []byte(LostPrefix)); ok && reply.Kind == resp.Bulk {
		w.Lost = append(w.Lost, string(part))
	}
}

// LostPrefix begins the answer of a script that has found a part of the read model that was lost.
const LostPrefix = "lost "

// isRepeated says whether a stream has the event already: what was applied in part before a restart is
// sent again. Redis gives this error no code of its own.
func isRepeated(e resp.Error) bool {
	return strings.HasPrefix(string(e), "ERR The ID specified in XADD is equal or smaller")
}
