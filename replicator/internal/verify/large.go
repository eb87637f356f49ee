package verify

import (
	"bytes"
	"context"
	"errors"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// following is a large set that is read in pieces, so that Redis serves others in between. Each piece belongs to the
// checkpoint that was read with it. The pieces follow each other in the order of the set. Between two pieces the set
// may change where it was read already, and the stream tells how: when the model moves from the checkpoint of one piece
// to that of the next, the changes at or before the place of the last member read are added to the tally. At the end
// the tally is that of the whole set at the last checkpoint, however often the set changes.
type following struct {
	key
	tally *tally
	score float64 // the score of the last member read
	last  []byte  // the prefix of that member, after which PageAfter continues; nil: none was read
}

// change adds a change of the stream to the tally if it is in the part of the set that was read.
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
func (c *comparison) compareLarge(ctx context.Context, r *setReader, k key, progress func(members int64)) (differs bool, err error) {
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
		progress(piece.count)
		if piece.read < chunkMembers || piece.ended() || f.tally.structure {
			c.keys++
			return c.differs(k, f.tally), nil
		}
		if err := r.wait(ctx, piece.read); err != nil {
			return false, err
		}
	}
}

// ended says whether the sentinel came last in a piece. Then nothing is behind it, or the set holds nothing else.
func (t *tally) ended() bool { return string(t.last) == readmodel.Sentinel }

// take adds a piece to the tally. The model must stand at the piece's checkpoint.
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
	if err != nil || len(piece.last) < readmodel.PrefixLen { // it is no bid, so no page can begin after it
		f.tally.structure = true
		return
	}
	f.score, f.last = score, bytes.Clone(piece.last[:readmodel.PrefixLen])
}

// piece reads the members after the last one, and the checkpoint in the same MULTI.
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

// pageHead reads what PageAfter answers before the members: the head of an array of two, and its first element, which
// is an array of the first member. structure says that the script failed, because the set holds members that are no
// bids.
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
