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
	// ErrFenced says that the guard does not hold what this replicator wrote last, because Redis lost data or another
	// replicator took over. Nothing was written.
	ErrFenced = errors.New("redis does not hold what this replicator wrote last")
	// ErrTorn says that one command of a MULTI failed when Redis executed it. Redis does not undo the other commands.
	ErrTorn = errors.New("redis applied only a part of a flush")
)

// FlushTime bounds one round trip, so that a replicator stops within 10 s even if a write hangs.
const FlushTime = 5 * time.Second

// Writer writes to Redis under a guard. Every write sets the guard in the same MULTI and happens only if the guard
// still holds what was written last (P2). Its connection is its own and never reconnects, because a reconnect would
// lose the WATCH unnoticed.
type Writer struct {
	conn  *resp.Conn
	guard string
	value string // what the guard must hold, which is what was written last or found at first; "" if missing
	out   resp.Commands

	Probe  int      // the index in EXEC's answer of a number that is wanted; -1: none. Set it within Write's commands
	Probed int64    // this number
	Lost   []string // parts that the scripts of the last write found to be lost
}

// Watch opens a connection and watches the guard. It fails unless the guard holds want.
func Watch(ctx context.Context, client *redis.Client, guard, want string) (*Writer, error) {
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

// Value is what the guard held when it was last written or checked; "" if it is missing.
func (w *Writer) Value() string { return w.value }

// Guard returns a Writer of another guard on the same connection. It fails unless that guard holds want. The WATCH on
// the first guard stays armed, so the next write also fails if the first guard has changed.
func (w *Writer) Guard(guard, want string) (*Writer, error) {
	next := &Writer{conn: w.conn, guard: guard, value: want}
	return next, next.watch()
}

// watch sends WATCH and GET, and fails unless the guard holds the expected value.
func (w *Writer) watch() error {
	w.out.Reset()
	w.watchAgain()
	if err := w.send(); err != nil {
		return err
	}
	return w.rearmed()
}

// Verify reads the guard and writes nothing. The WATCH stays armed.
func (w *Writer) Verify() error {
	w.out.Reset()
	w.out.Add("GET", w.guard)
	if err := w.send(); err != nil {
		return err
	}
	return w.check()
}

// Write executes commands and sets the guard to value in one MULTI and one round trip; an empty value removes the
// guard. After an error the Writer must be closed.
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
	w.watchAgain()
	if err := w.send(); err != nil {
		return err
	}
	if err := w.outcome(queued); err != nil {
		return err
	}
	return w.rearmed()
}

func (w *Writer) watchAgain() {
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

// next reads a reply. If the reply is an error, next returns it as an error.
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

// rearmed reads the replies of watchAgain. The value that GET read after the WATCH must be w.value.
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

// outcome reads the replies of a MULTI. EXEC answers nil if the guard was touched, an error if a command could not be
// queued (then nothing was executed), and otherwise an array with one reply for each command. The reply of a command
// that failed is an error.
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

// note keeps the number of the command Probe, and the parts that scripts report as lost.
func (w *Writer) note(i int, reply resp.Reply) {
	if i == w.Probe {
		w.Probed = reply.N
	}
	if part, ok := bytes.CutPrefix(reply.Text, []byte(LostPrefix)); ok && reply.Kind == resp.Bulk {
		w.Lost = append(w.Lost, string(part))
	}
}

// LostPrefix begins the answer of a script that found a part of the read model to be lost. The name of the part
// follows.
const LostPrefix = "lost "

// isRepeated says whether the error means that a stream has the event already. This happens after a restart, because a
// transaction that was applied in part is sent again. Redis gives this error no code of its own.
func isRepeated(e resp.Error) bool {
	return strings.HasPrefix(string(e), "ERR The ID specified in XADD is equal or smaller")
}
