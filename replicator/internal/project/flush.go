package project

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
	// errFenced says that the guard is not what this replicator last wrote: Redis lost data, or
	// another replicator took over. Nothing was written.
	errFenced = errors.New("redis does not hold what this replicator wrote last")
	// errTorn says that Redis refused a command within a MULTI, which does not undo the others.
	errTorn = errors.New("redis applied only a part of a flush")
)

// flushTime bounds one round trip. A flush that hangs must leave time to stop within 10 s.
const flushTime = 5 * time.Second

// flusher writes to Redis under a guard: a key whose value says what is there. Every write changes the
// guard in the same MULTI and happens only if the guard still is what was written last (P2).
// A WATCH for the next write is always armed by the round trip of the one before, on a dedicated
// connection that never reconnects: a reconnect would lose the WATCH without a word.
type flusher struct {
	conn  *resp.Conn
	guard string
	value string // what the guard held when the WATCH was armed; "" if missing
	out   resp.Commands

	probe  int      // which command of the next write is asked for the number that it answers; -1: none
	probed int64    // what it answered
	lost   []string // parts that scripts of the last write have found to be lost
}

// arm watches the guard. It fails unless the guard holds want.
func arm(ctx context.Context, client *redis.Client, guard, want string) (*flusher, error) {
	conn, err := resp.Dial(ctx, resp.ServerOf(client.Options()))
	if err != nil {
		return nil, err
	}
	f := &flusher{conn: conn, guard: guard, value: want, probe: -1}
	if err := f.watch(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *flusher) close() error { return f.conn.Close() }

// watch arms the WATCH on the guard and compares what it holds.
func (f *flusher) watch() error {
	f.out.Reset()
	f.rearm()
	if err := f.send(); err != nil {
		return err
	}
	return f.rearmed()
}

// verify reads the guard without writing anything; the WATCH stays armed.
func (f *flusher) verify() error {
	f.out.Reset()
	f.out.Add("GET", f.guard)
	if err := f.send(); err != nil {
		return err
	}
	return f.check()
}

// write applies commands and sets the guard to value, all or nothing, in one round trip; an empty value
// takes the guard away. After any error the flusher is of no use any more.
func (f *flusher) write(value string, commands func(*resp.Commands)) error {
	f.out.Reset()
	f.out.Add("MULTI")
	f.probe, f.probed, f.lost = -1, 0, nil
	commands(&f.out)
	if value == "" {
		f.out.Add("DEL", f.guard)
	} else {
		f.out.Add("SET", f.guard, value)
	}
	queued := f.out.N - 1
	f.out.Add("EXEC")
	f.value = value
	f.rearm()
	if err := f.send(); err != nil {
		return err
	}
	if err := f.outcome(queued); err != nil {
		return err
	}
	return f.rearmed()
}

func (f *flusher) rearm() {
	f.out.Add("WATCH", f.guard)
	f.out.Add("GET", f.guard)
}

func (f *flusher) send() error {
	if err := f.conn.SetDeadline(time.Now().Add(flushTime)); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if _, err := f.conn.Write(f.out.Wire); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// next reads a reply, or returns the error that it is.
func (f *flusher) next(what string) (resp.Reply, error) {
	reply, err := f.conn.Next()
	if err == nil {
		err = reply.Err()
	}
	if err != nil {
		return reply, fmt.Errorf("redis %s: %w", what, err)
	}
	return reply, nil
}

// rearmed reads the replies of rearm: the guard as read after the WATCH must be what it was set to.
func (f *flusher) rearmed() error {
	if _, err := f.next("watch"); err != nil {
		return err
	}
	return f.check()
}

func (f *flusher) check() error {
	got, err := f.next("guard")
	if err != nil {
		return err
	}
	if string(got.Text) != f.value {
		return fmt.Errorf("%w: %s is %q instead of %q", errFenced, f.guard, got.Text, f.value)
	}
	return nil
}

// outcome reads the replies of a MULTI: EXEC answers nil if the guard was touched, an error if a command
// could not be queued (nothing was applied), and an array with an error for each that failed.
func (f *flusher) outcome(queued int) error {
	_, err := f.next("multi")
	if err != nil {
		return err
	}
	var refused error
	for range queued {
		if _, err := f.next("refused a command"); err != nil && refused == nil {
			var reply resp.Error
			if refused = err; !errors.As(err, &reply) {
				return err
			}
		}
	}
	done, err := f.conn.Next()
	switch {
	case err != nil:
		return fmt.Errorf("redis exec: %w", err)
	case refused != nil:
		return refused
	case done.Kind == resp.Null:
		return fmt.Errorf("%w: exec answered nil", errFenced)
	case done.Kind != resp.Array:
		return fmt.Errorf("redis exec: %w", done.Err())
	}
	return f.executed(done.N)
}

func (f *flusher) executed(n int64) error {
	var torn error
	for i := range n {
		reply, err := f.conn.Next()
		if err != nil {
			return fmt.Errorf("redis exec: %w", err)
		}
		f.note(int(i), reply)
		err = f.conn.Skip(reply)
		var failed resp.Error
		switch {
		case err == nil, errors.As(err, &failed) && isRepeated(failed):
		case failed == "":
			return fmt.Errorf("redis exec: %w", err)
		case torn == nil:
			torn = fmt.Errorf("%w: %w", errTorn, err)
		}
	}
	return torn
}

// note keeps what a command of a MULTI has found out.
func (f *flusher) note(i int, reply resp.Reply) {
	if i == f.probe {
		f.probed = reply.N
	}
	if part, ok := bytes.CutPrefix(reply.Text, []byte(lostPrefix)); ok && reply.Kind == resp.Bulk {
		f.lost = append(f.lost, string(part))
	}
}

// isRepeated says whether a stream has the event already: what was applied in part before a restart is
// sent again. Redis gives this error no code of its own.
func isRepeated(e resp.Error) bool {
	return strings.HasPrefix(string(e), "ERR The ID specified in XADD is equal or smaller")
}
