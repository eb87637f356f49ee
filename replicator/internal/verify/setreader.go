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

// setReader reads sets of bids and tallies them, without an allocation for each member.
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
	server := resp.ServerOf(o)
	server.Buffer = readBuffer
	conn, err := resp.Dial(ctx, server)
	if err != nil {
		return nil, err
	}
	return &setReader{conn: conn, epoch: c.epoch, hasher: c.source.model.hasher, limit: c.limit}, nil
}

// read reads chunks in order. Redis works on the next chunk while the last one is parsed.
func (r *setReader) read(ctx context.Context, parts []chunk, to chan<- reading) error {
	sent := 0
	for i, part := range parts {
		for ; sent < min(i+2, len(parts)); sent++ {
			if err := r.request(parts[sent]); err != nil {
				return err
			}
		}
		got := reading{chunk: part, tallies: make([][2]tally, len(part.sets))}
		if err := r.reply(&got); err != nil {
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

// wait keeps to the rate limit, whose burst is a portion.
func (r *setReader) wait(ctx context.Context, n int) error {
	for ; n > 0; n -= portion {
		if err := r.limit.WaitN(ctx, min(n, portion)); err != nil {
			return err
		}
	}
	return nil
}

// request asks for the checkpoint and the members in one MULTI, so that they are of one moment. If a set has grown
// beyond chunkMembers, it is compared later as a large one.
func (r *setReader) request(c chunk) error {
	r.commands.Add("MULTI")
	r.commands.Add("GET", readmodel.CheckpointKey)
	for _, s := range c.sets {
		for _, order := range orders {
			r.commands.Add("ZRANGE", key{order, s}.name(r.epoch), "0", strconv.Itoa(chunkMembers-1), "WITHSCORES")
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
	t.read += int(head.N / 2)
	return err
}

func (r *setReader) member(t *tally, order kind) error {
	member, err := r.next(resp.Bulk)
	if err != nil {
		return err
	}
	t.last = append(t.last[:0], member.Text...)
	isSentinel := string(member.Text) == readmodel.Sentinel
	if !isSentinel {
		t.add(r.hasher.of(member.Text), 1)
	}
	want, ok := score(order, member.Text)
	got, err := r.next(resp.Bulk)
	if err != nil {
		return err
	}
	t.lastScore = append(t.lastScore[:0], got.Text...)
	switch {
	case isSentinel:
		t.whole = string(got.Text) == sentinelText(order)
	case !ok || !isScore(got.Text, want):
		t.wrong++
	}
	return nil
}

// isScore says whether Redis' text of a score is the wanted number.
func isScore(text []byte, want float64) bool {
	digits := text
	if len(text) > 0 && text[0] == '-' {
		digits, want = text[1:], -want
	}
	var v int64
	for _, c := range digits {
		if c < '0' || c > '9' || v > 1<<53 { // maybe in scientific notation, which newer versions write for some
			got, err := strconv.ParseFloat(string(digits), 64)
			return err == nil && got == want
		}
		v = 10*v + int64(c-'0')
	}
	return float64(v) == want
}

// send writes the commands and sets the deadline of the exchange.
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

// next reads a reply, which must be of a kind.
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

// checkpoint reads the checkpoint; "" if it is missing.
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
