package project

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

var (
	// errFenced says that the guard is not what this replicator last wrote: Redis lost data, or
	// another replicator took over. Nothing was written.
	errFenced = errors.New("redis does not hold what this replicator wrote last")
	// errTorn says that Redis refused a command within a MULTI, which does not undo the others.
	errTorn = errors.New("redis applied only a part of a flush")
)

// flusher writes to Redis under a guard: a key whose value says what is there. Every write changes the
// guard in the same MULTI and happens only if the guard still is what was written last (P2).
// A WATCH for the next write is always armed by the round trip of the one before.
type flusher struct {
	conn  *redis.Conn
	guard string
	value string // what the guard held when the WATCH was armed; "" if missing
}

// arm watches the guard on a dedicated connection that never reconnects: a reconnect would lose the
// WATCH without a word. It fails unless the guard holds want.
func arm(ctx context.Context, client *redis.Client, guard, want string) (*flusher, error) {
	f := &flusher{conn: client.EphemeralConn(), guard: guard, value: want}
	pipe := f.conn.Pipeline()
	armed, read := f.rearm(ctx, pipe)
	if err := execute(ctx, pipe); err != nil {
		return nil, errors.Join(err, f.close())
	}
	if err := f.check(armed, read); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *flusher) close() error { return f.conn.Close() }

func (f *flusher) rearm(ctx context.Context, pipe redis.Pipeliner) (armed *redis.Cmd, read *redis.StringCmd) {
	armed = pipe.Do(ctx, "watch", f.guard)
	return armed, pipe.Get(ctx, f.guard)
}

// verify reads the guard without writing anything; the WATCH stays armed.
func (f *flusher) verify(ctx context.Context) error {
	got, err := f.conn.Get(ctx, f.guard).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("redis guard: %w", err)
	}
	if got != f.value {
		return fmt.Errorf("%w: %s is %q instead of %q", errFenced, f.guard, got, f.value)
	}
	return nil
}

// check compares the guard as read after the WATCH with what it must be.
func (f *flusher) check(armed *redis.Cmd, read *redis.StringCmd) error {
	if err := armed.Err(); err != nil {
		return fmt.Errorf("redis watch: %w", err)
	}
	got, err := read.Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("redis guard: %w", err)
	}
	if got != f.value {
		return fmt.Errorf("%w: %s is %q instead of %q", errFenced, f.guard, got, f.value)
	}
	return nil
}

// write applies the commands that each gives and sets the guard to value, all or nothing, in one round
// trip; an empty value takes the guard away. After any error the flusher is of no use any more.
func (f *flusher) write(ctx context.Context, value string, each func(do func(args []any))) error {
	pipe := f.conn.Pipeline()
	begun := pipe.Do(ctx, "multi")
	var queued []*redis.Cmd
	do := func(args []any) {
		c := redis.NewCmd(ctx, args...)
		queued = append(queued, c)
		// A pipeline's Process only queues.
		_ = pipe.Process(ctx, c)
	}
	each(do)
	if value == "" {
		do([]any{"del", f.guard})
	} else {
		do([]any{"set", f.guard, value})
	}
	done := pipe.Do(ctx, "exec")
	f.value = value
	armed, read := f.rearm(ctx, pipe)
	if err := execute(ctx, pipe); err != nil {
		return err
	}
	if err := outcome(begun, queued, done); err != nil {
		return err
	}
	return f.check(armed, read)
}

// execute runs a pipeline. Errors of single commands are left to be read from them.
func execute(ctx context.Context, pipe redis.Pipeliner) error {
	_, err := pipe.Exec(ctx)
	var refused redis.Error
	if err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// outcome reads the replies of a MULTI: EXEC answers nil if the guard was touched, an error if a
// command could not be queued (nothing was applied), and a list with an error for each that failed.
func outcome(begun *redis.Cmd, queued []*redis.Cmd, done *redis.Cmd) error {
	if err := begun.Err(); err != nil {
		return fmt.Errorf("redis multi: %w", err)
	}
	for _, c := range queued {
		if err := c.Err(); err != nil {
			return fmt.Errorf("redis refused %v: %w", c.Args()[0], err)
		}
	}
	replies, err := done.Slice()
	if errors.Is(err, redis.Nil) {
		return fmt.Errorf("%w: exec answered nil", errFenced)
	}
	if err != nil {
		return fmt.Errorf("redis exec: %w", err)
	}
	for i, r := range replies {
		if err, failed := r.(error); failed && i < len(queued) {
			return fmt.Errorf("%w: %v: %w", errTorn, queued[i].Args()[0], err)
		}
	}
	return nil
}
