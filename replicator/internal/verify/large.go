package verify

import (
	"bytes"
	"context"
	"errors"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// A large set is read in pieces, each of which is that of its own checkpoint, so that Redis serves others in between.
// The pieces follow each other in the set's order. What is written to the part that was read already is known from
// the stream: when the model is moved from the checkpoint of one piece to that of the next, the changes that it
// passes at or before the place of the last member read are added to the tally. At the end the tally is that of the
// whole set at the last checkpoint, however hot the set is.
type following struct {
	key
	tally *tally
	score float64 // of the last member read
	last  []byte  // its prefix, behind which PageAfter reads on; nil: none was read
}

// change adds a change of the stream to the tally if it lies in the part that was read.
func (f *following) change(b readmodel.Bid, member []byte, h hasher, sign int64) {
	if f.last == nil || f.raffle != b.RaffleID || f.size != b.Size {
		return
	}
	score := b.NewestScore()
	if f.kind == highest {
		score = b.HighestScore()
	}
	if score < f.score || score == f.score && bytes.Compare(member[:readmodel.PrefixLen], f.last) <= 0 {
		f.tally.add(h.of(member), sign)
	}
}

// compareLarge compares one order of a large set.
func (c *comparison) compareLarge(ctx context.Context, r *setReader, k key, told func(members int64)) (differs bool, err error) {
	f := &following{key: k, tally: &tally{}}
	c.source.model.followed = f
	defer func() { c.source.model.followed = nil }()
	for {
		var piece tally
		err := c.exactly(ctx, func() (checkpoint string, err error) {
			piece = tally{}
			return r.piece(&piece, f)
		})
		if err != nil {
			return false, err
		}
		f.take(&piece)
		told(piece.count)
		if piece.read < chunkMembers || piece.ended() || f.tally.structure {
			c.keys++
			return c.differs(k, f.tally), nil
		}
		if err := r.wait(ctx, piece.read); err != nil {
			return false, err
		}
	}
}

// ended says whether the sentinel came last: nothing is behind it, or nothing at all is in the set.
func (t *tally) ended() bool { return string(t.last) == readmodel.Sentinel }

// take adds a piece, once the model stands at its checkpoint.
func (f *following) take(piece *tally) {
	f.tally.count += piece.count
	f.tally.sum[0] += piece.sum[0]
	f.tally.sum[1] += piece.sum[1]
	f.tally.wrong += piece.wrong
	f.tally.whole = f.tally.whole || piece.whole
	f.tally.structure = f.tally.structure || piece.structure
	if len(piece.last) == 0 || piece.ended() {
		return
	}
	score, err := strconv.ParseFloat(string(piece.lastScore), 64)
	if err != nil || len(piece.last) < readmodel.PrefixLen { // no bid: there is no reading on from it
		f.tally.structure = true
		return
	}
	f.score, f.last = score, bytes.Clone(piece.last[:readmodel.PrefixLen])
}

// piece reads the members after the last one, and the checkpoint at the same moment.
func (r *setReader) piece(t *tally, f *following) (checkpoint string, err error) {
	name, n := f.name(r.epoch), strconv.Itoa(chunkMembers)
	r.commands.Add("MULTI")
	r.commands.Add("GET", readmodel.CheckpointKey)
	if f.last == nil {
		r.commands.Add("ZRANGE", name, "0", strconv.Itoa(chunkMembers-1), "WITHSCORES")
	} else {
		r.commands.Add("EVAL_RO", readmodel.PageAfter, "1", name, "FWD", strconv.FormatFloat(f.score, 'f', -1, 64),
			string(f.last), n, "WITHSCORES")
	}
	r.commands.Add("EXEC")
	if err := r.send(); err != nil {
		return "", err
	}
	if err := r.expect(3, resp.Simple); err != nil {
		return "", err
	}
	if _, err := r.next(resp.Array); err != nil {
		return "", err
	}
	var got reading
	if err := r.checkpoint(&got); err != nil {
		return "", err
	}
	if f.last != nil {
		if structure, err := r.pageHead(); structure || err != nil {
			t.structure = structure
			return got.checkpoint, err
		}
	}
	return got.checkpoint, r.members(t, f.kind)
}

// pageHead reads what PageAfter answers before the members: two parts, of which the first is an array of the first
// member. An error of the script says that something else than bids is in the set.
func (r *setReader) pageHead() (structure bool, err error) {
	var refused resp.Error
	if _, err := r.next(resp.Array); errors.As(err, &refused) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	first, err := r.next(resp.Array)
	for n := first.N; n > 0 && err == nil; n-- {
		_, err = r.next(resp.Bulk)
	}
	return false, err
}
