package verify

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/time/rate"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// setReader reads sets of bids and makes tallies of them.
type setReader struct {
	wire   *wire
	epoch  readmodel.Epoch
	hasher hasher
	limit  *rate.Limiter
}

// read reads chunks in order. Redis works on the next one while the last is taken apart.
func (r *setReader) read(ctx context.Context, parts []chunk, to chan<- reading) error {
	sent := 0
	for i, part := range parts {
		// A large chunk needs the connection for itself.
		for sent <= i || (sent <= i+1 && sent < len(parts) && !part.large && !parts[sent].large) {
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

// wait keeps to the rate; more than its burst at once is an error there.
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
		err := r.reply(&got)
		return got, err
	}
	for range largeTries {
		whole, err := r.piecewise(&got)
		if whole || err != nil {
			return got, err
		}
		got.tallies[0] = [2]tally{}
	}
	if err := r.request(c); err != nil {
		return got, err
	}
	return got, r.reply(&got)
}

// request asks for the checkpoint and all members in one MULTI: the answer is that of one moment.
func (r *setReader) request(c chunk) error {
	r.wire.command("MULTI")
	r.wire.command("GET", readmodel.CheckpointKey)
	for _, s := range c.sets {
		for _, order := range orders {
			r.wire.command("ZRANGE", key{order, s}.name(r.epoch), "0", "-1", "WITHSCORES")
		}
	}
	r.wire.command("EXEC")
	return r.wire.send()
}

func (r *setReader) reply(got *reading) error {
	for range 2 + 2*len(got.sets) {
		if err := r.wire.okay(); err != nil {
			return err
		}
	}
	if _, err := r.wire.array(); err != nil {
		return err
	}
	text, err := r.wire.bulk()
	if err != nil {
		return err
	}
	got.checkpoint = string(text)
	for i := range got.sets {
		for order := range orders {
			if err := r.members(&got.tallies[i][order], orders[order]); err != nil {
				return err
			}
		}
	}
	return nil
}

// members adds what a ZRANGE answers to a tally.
func (r *setReader) members(t *tally, order kind) error {
	err := r.wire.members(func(member []byte, got float64) {
		t.add(r.hasher.of(member), 1)
		if want, ok := score(order, member); !ok || got != want {
			t.wrong++
		}
	})
	var refused errReply
	if errors.As(err, &refused) {
		t.structure = true
		return nil
	}
	return err
}

const (
	pieceMembers = 1000
	largeTries   = 3
)

// piecewise reads a large set without keeping Redis from others for long: the pieces belong to one
// moment if the keys were not touched between the WATCH and the EXEC, which reads the checkpoint.
func (r *setReader) piecewise(got *reading) (whole bool, err error) {
	watch := []string{"WATCH"}
	for _, order := range orders {
		watch = append(watch, key{order, got.sets[0]}.name(r.epoch))
	}
	r.wire.command(watch...)
	if err := r.wire.send(); err != nil {
		return false, err
	}
	if err := r.wire.okay(); err != nil {
		return false, err
	}
	for i, order := range orders {
		if err := r.pieces(&got.tallies[0][i], order, watch[1+i]); err != nil {
			return false, err
		}
	}
	r.wire.command("MULTI")
	r.wire.command("GET", readmodel.CheckpointKey)
	r.wire.command("EXEC")
	if err := r.wire.send(); err != nil {
		return false, err
	}
	for range 2 {
		if err := r.wire.okay(); err != nil {
			return false, err
		}
	}
	n, err := r.wire.array()
	if err != nil || n < 0 { // null: a key was touched
		return false, err
	}
	text, err := r.wire.bulk()
	if err != nil {
		return false, fmt.Errorf("checkpoint: %w", err)
	}
	got.checkpoint = string(text)
	return true, nil
}

func (r *setReader) pieces(t *tally, order kind, name string) error {
	for first := 0; ; first += pieceMembers {
		before := t.count
		r.wire.command("ZRANGE", name, strconv.Itoa(first), strconv.Itoa(first+pieceMembers-1), "WITHSCORES")
		if err := r.wire.send(); err != nil {
			return err
		}
		if err := r.members(t, order); err != nil {
			return err
		}
		if t.count-before < pieceMembers {
			return nil
		}
	}
}
