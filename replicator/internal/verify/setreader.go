package verify

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// setReader reads sets of bids and makes tallies of them, with no allocation for a member.
type setReader struct {
	conn     *resp.Conn
	commands resp.Commands
	epoch    readmodel.Epoch
	hasher   hasher
	limit    *rate.Limiter
}

const (
	readBuffer   = 128 << 10
	exchangeTime = 10 * time.Second
)

func newSetReader(ctx context.Context, o *redis.Options, c *comparison) (*setReader, error) {
	conn, err := resp.Dial(ctx, resp.Options{Network: o.Network, Addr: o.Addr, Username: o.Username, Password: o.Password,
		DB: o.DB, TLS: o.TLSConfig, DialTimeout: o.DialTimeout, Buffer: readBuffer})
	if err != nil {
		return nil, err
	}
	return &setReader{conn: conn, epoch: c.epoch, hasher: c.source.model.hasher, limit: c.limit}, nil
}

// read reads chunks in order. Redis works on the next one while the last is taken apart.
func (r *setReader) read(ctx context.Context, parts []chunk, to chan<- reading) error {
	sent := 0
	for i, part := range parts {
		// A large chunk needs the connection for itself.
		for sent <= i || (sent == i+1 && sent < len(parts) && !part.large && !parts[sent].large) {
			if !parts[sent].large {
				if err := r.request(parts[sent]); err != nil {
					return err
				}
			}
			sent++
		}
		got, err := r.one(part)
		if err != nil {
			return err
		}
		select {
		case to <- got:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := r.wait(ctx, int(got.members())); err != nil {
			return err
		}
	}
	return nil
}

// wait keeps to the rate, whose burst is a portion.
func (r *setReader) wait(ctx context.Context, n int) error {
	for ; n > 0; n -= portion {
		if err := r.limit.WaitN(ctx, min(n, portion)); err != nil {
			return err
		}
	}
	return nil
}

// one takes a reading: of a requested chunk the reply, of a large one all of it.
func (r *setReader) one(c chunk) (reading, error) {
	got := reading{chunk: c, tallies: make([][2]tally, len(c.sets))}
	if !c.large {
		return got, r.reply(&got)
	}
	for range largeTries {
		got.tallies[0] = [2]tally{}
		whole, err := r.piecewise(&got)
		if whole || err != nil {
			return got, err
		}
	}
	got.tallies[0] = [2]tally{}
	if err := r.request(c); err != nil {
		return got, err
	}
	return got, r.reply(&got)
}

// request asks for the checkpoint and all members in one MULTI: the answer is that of one moment.
func (r *setReader) request(c chunk) error {
	r.commands.Add("MULTI")
	r.commands.Add("GET", readmodel.CheckpointKey)
	for _, s := range c.sets {
		for _, order := range orders {
			r.commands.Add("ZRANGE", key{order, s}.name(r.epoch), "0", "-1", "WITHSCORES")
		}
	}
	r.commands.Add("EXEC")
	return r.send()
}

func (r *setReader) reply(got *reading) error {
	if err := r.expect(2+2*len(got.sets), resp.Simple); err != nil {
		return err
	}
	if _, err := r.next(resp.Array); err != nil {
		return err
	}
	if err := r.checkpoint(got); err != nil {
		return err
	}
	for i := range got.sets {
		for order := range orders {
			if err := r.members(&got.tallies[i][order], orders[order]); err != nil {
				return err
			}
		}
	}
	return nil
}

// members adds the reply of a ZRANGE to a tally.
func (r *setReader) members(t *tally, order kind) error {
	head, err := r.next(resp.Array)
	var refused resp.Error
	if errors.As(err, &refused) {
		t.structure = true
		return nil
	}
	for n := head.N; n > 0 && err == nil; n -= 2 {
		err = r.member(t, order)
	}
	return err
}

func (r *setReader) member(t *tally, order kind) error {
	member, err := r.next(resp.Bulk)
	if err != nil {
		return err
	}
	isSentinel := string(member.Text) == readmodel.Sentinel
	if !isSentinel {
		t.add(r.hasher.of(member.Text), 1)
	}
	want, ok := score(order, member.Text)
	got, err := r.next(resp.Bulk)
	if err != nil {
		return err
	}
	switch {
	case isSentinel:
		t.whole = string(got.Text) == sentinelText(order)
	case !ok || !isScore(got.Text, want):
		t.wrong++
	}
	return nil
}

// isScore says whether Redis' text for a score is that number.
func isScore(text []byte, want float64) bool {
	digits := text
	if len(text) > 0 && text[0] == '-' {
		digits, want = text[1:], -want
	}
	var v int64
	for _, c := range digits {
		if c < '0' || c > '9' || v > 1<<53 { // in scientific notation, as newer versions write some
			got, err := strconv.ParseFloat(string(digits), 64)
			return err == nil && got == want
		}
		v = 10*v + int64(c-'0')
	}
	return float64(v) == want
}

const (
	pieceMembers = 1000
	largeTries   = 3
)

// piecewise reads a large set without keeping Redis from others for long: the pieces belong to one
// moment if the keys were not touched between the WATCH and the EXEC, which reads the checkpoint.
func (r *setReader) piecewise(got *reading) (whole bool, err error) {
	names := []string{key{newest, got.sets[0]}.name(r.epoch), key{highest, got.sets[0]}.name(r.epoch)}
	r.commands.Add("WATCH", names[0], names[1])
	if err := r.send(); err != nil {
		return false, err
	}
	if err := r.expect(1, resp.Simple); err != nil {
		return false, err
	}
	for i, order := range orders {
		if err := r.pieces(&got.tallies[0][i], order, names[i]); err != nil {
			return false, err
		}
	}
	r.commands.Add("MULTI")
	r.commands.Add("GET", readmodel.CheckpointKey)
	r.commands.Add("EXEC")
	if err := r.send(); err != nil {
		return false, err
	}
	if err := r.expect(2, resp.Simple); err != nil {
		return false, err
	}
	reply, err := r.conn.Next()
	if err == nil {
		err = reply.Err()
	}
	if err != nil || reply.Kind == resp.Null { // a key was touched
		return false, err
	}
	return true, r.checkpoint(got)
}

func (r *setReader) pieces(t *tally, order kind, name string) error {
	for first := 0; ; first += pieceMembers {
		before := t.count
		r.commands.Add("ZRANGE", name, strconv.Itoa(first), strconv.Itoa(first+pieceMembers-1), "WITHSCORES")
		if err := r.send(); err != nil {
			return err
		}
		if err := r.members(t, order); err != nil {
			return err
		}
		if t.count-before < pieceMembers-1 { // the sentinel is not counted
			return nil
		}
	}
}

// send writes the commands and gives the exchange its time.
func (r *setReader) send() error {
	err := r.conn.SetDeadline(time.Now().Add(exchangeTime))
	if err == nil {
		_, err = r.conn.Write(r.commands.Wire)
	}
	r.commands.Reset()
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// next reads a reply of a kind.
func (r *setReader) next(want resp.Kind) (resp.Reply, error) {
	reply, err := r.conn.Next()
	if err == nil {
		err = reply.Err()
	}
	if err != nil {
		return reply, fmt.Errorf("redis: %w", err)
	}
	if reply.Kind != want {
		return reply, fmt.Errorf("redis: a reply of kind %q instead of %q", reply.Kind, want)
	}
	return reply, nil
}

func (r *setReader) expect(n int, want resp.Kind) error {
	for range n {
		if _, err := r.next(want); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint reads it; a missing one is "".
func (r *setReader) checkpoint(got *reading) error {
	reply, err := r.conn.Next()
	if err == nil {
		err = reply.Err()
	}
	if err != nil {
		return fmt.Errorf("redis checkpoint: %w", err)
	}
	got.checkpoint = string(reply.Text)
	return nil
}
