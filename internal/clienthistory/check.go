package clienthistory

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// patience is how long the search for an order may take. Histories of some hundred operations take
// milliseconds.
const patience = time.Minute

// highest is above every position that occurs.
const highest = math.MaxInt64/2 - 1

// Check returns nil if the history is right. Each line is judged together with the part of the earlier lines that it
// shares.
func (r *Recorder) Check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := 1; line <= len(r.forks); line++ {
		if err := r.checkLine(line); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
	return nil
}

func (r *Recorder) checkLine(line int) error {
	operations := r.seenFrom(line)
	if err := plausible(operations); err != nil {
		return err
	}
	lists := make(map[List][]operation)
	for _, o := range operations {
		if o.kind != clearAll {
			lists[o.list] = append(lists[o.list], o)
		}
	}
	for l, own := range lists {
		for _, o := range operations {
			if o.kind == clearAll {
				own = append(own, o)
			}
		}
		if err := r.checkList(own); err != nil {
			return fmt.Errorf("raffle %d, size %d: %w", l.Raffle, l.Size, err)
		}
	}
	return nil
}

// seenFrom returns the operations that may be part of a line. An operation of an earlier line is part of it if its
// position (of a read: upTo) is at or before the fork. Of the others, reads are no part of the line, and neither are
// writes that were sent when the fork's position or a later one was known. The remaining writes may be part of the
// line, so they count as writes without an answer.
func (r *Recorder) seenFrom(line int) (seen []operation) {
	for _, o := range r.operations {
		if o.line > line {
			continue
		}
		left := lsn.LSN(math.MaxUint64)
		for l := o.line; l < line; l++ {
			left = min(left, r.forks[l].at)
		}
		switch {
		case o.kind == read && o.upTo <= left, o.kind != read && o.at != 0 && o.at <= left:
		case o.kind == read, o.known >= left:
			continue
		default:
			o.at = 0
		}
		o.known = min(o.known, left) // positions of an earlier line beyond the fork mean nothing on this one
		if o.kind == read && (o.at < r.forks[0].at || o.upTo > highest) {
			continue // the read is older than the recording, or it can't be judged
		}
		seen = append(seen, o)
	}
	return seen
}

// plausible checks the rules that need no search.
func plausible(operations []operation) error {
	for _, o := range operations {
		switch {
		case o.kind == read && o.at < o.min:
			return fmt.Errorf("%v: the read is older than its Min-LSN %s", o, o.min)
		case o.kind != read && o.at != 0 && o.at <= o.known:
			return fmt.Errorf("%v: its Commit-LSN is not above %s, which was known before", o, o.known)
		}
	}
	return nil
}

func (r *Recorder) checkList(operations []operation) error {
	var history []porcupine.Operation
	for _, o := range needed(operations) {
		p := porcupine.Operation{ClientId: o.client, Input: o, Call: 2*int64(o.known) + 2, Return: 2 * int64(o.at)}
		switch {
		case o.inPart:
			p.Input = o.unsureAmong(operations)
			p.Call = 2*int64(o.at) + 1
			p.Return = p.Call
		case o.kind == read: // after the writes that end at its position
			p.Call = 2*int64(o.at) + 1
			p.Return = 2*int64(o.upTo) + 1
		case o.at == 0:
			p.Return = 2 * highest
		}
		history = append(history, p)
	}
	switch porcupine.CheckOperationsTimeout(model, history, patience) {
	case porcupine.Illegal:
		return fmt.Errorf("no order of the writes explains the reads:\n%s", describe(history))
	case porcupine.Unknown:
		return fmt.Errorf("no verdict about %d operations within %v", len(history), patience)
	}
	return nil
}

// needed leaves out writes without an answer if no read shows their effect. They need not have happened, and each
// would double the search.
func needed(operations []operation) []operation {
	added, shown, hidden := make(map[int32]bool), make(map[int32]bool), make(map[int32]bool)
	for _, o := range operations {
		if o.kind == add {
			added[o.bid] = true
		}
	}
	for _, o := range operations {
		if o.kind != read {
			continue
		}
		for b := range added {
			if _, has := slices.BinarySearch(o.bids, b); has {
				shown[b] = true
			} else {
				hidden[b] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(operations), func(o operation) bool {
		return o.at == 0 && (o.kind == add && !shown[o.bid] || o.kind == remove && !hidden[o.bid])
	})
}

// model is a set of bids. Its state is the bids in order, four bytes each.
var model = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		set, o := state.(string), input.(operation)
		switch o.kind {
		case read:
			return without(set, o.unsure) == without(pack(o.bids), o.unsure), set
		case clearAll:
			return true, ""
		}
		at, found := find(set, o.bid)
		switch {
		case o.kind == add && found: // repeated with its key
			return true, set
		case o.kind == add:
			return true, set[:at] + pack([]int32{o.bid}) + set[at:]
		case found:
			return true, set[:at] + set[at+4:]
		}
		return true, set // a cancellation can be repeated
	},
}

// unsureAmong notes the bids that a read with inPart may show or not, because a write to them may have taken effect
// after the read's position and before its answer.
func (o operation) unsureAmong(operations []operation) operation {
	for _, w := range operations {
		if (w.kind == add || w.kind == remove) && w.known < o.upTo && (w.at == 0 || w.at > o.at) {
			o.unsure = append(o.unsure, w.bid)
		}
		if w.kind == clearAll && w.known < o.upTo && (w.at == 0 || w.at > o.at) {
			for _, any := range operations {
				if any.kind == add {
					o.unsure = append(o.unsure, any.bid)
				}
			}
		}
	}
	return o
}

// without removes bids from a state.
func without(set string, bids []int32) string {
	for _, bid := range bids {
		if at, found := find(set, bid); found {
			set = set[:at] + set[at+4:]
		}
	}
	return set
}

func pack(bids []int32) string {
	var b []byte
	for _, bid := range bids {
		b = binary.BigEndian.AppendUint32(b, uint32(bid))
	}
	return string(b)
}

// find says where a bid is in a state or would be.
func find(set string, bid int32) (at int, found bool) {
	packed := pack([]int32{bid})
	for at < len(set) && set[at:at+4] < packed {
		at += 4
	}
	return at, strings.HasPrefix(set[at:], packed)
}

// String writes the position known before, what was done, and the answer.
func (o operation) String() string {
	what := [...]string{add: "adds", remove: "removes", read: "reads", clearAll: "clears all"}[o.kind]
	text := fmt.Sprintf("client %d at %s %s", o.client, o.known, what)
	switch o.kind {
	case read:
		text += fmt.Sprintf(" %v", o.bids)
	case add, remove:
		text += fmt.Sprintf(" %d", o.bid)
	}
	if o.at == 0 {
		return text + ": no answer"
	}
	return fmt.Sprintf("%s: %s", text, o.at)
}

// describe lists a history in the order of the positions.
func describe(history []porcupine.Operation) string {
	slices.SortStableFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var text strings.Builder
	for _, p := range history {
		fmt.Fprintln(&text, p.Input)
	}
	return text.String()
}
