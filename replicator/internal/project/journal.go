package project

import (
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// note keeps the changes of a written batch that concern the parts.
func (rl *reload) note(b *batch) {
	for i := range b.entries {
		e := &b.entries[i]
		if !e.hasBid() {
			continue
		}
		l, size, lists := rl.parts[readmodel.Part{Raffle: e.raffle}], rl.parts[readmodel.Part{Size: e.size}], rl.parts[readmodel.Part{}]
		if l != nil {
			l.size(e.size)
		}
		if lists != nil {
			lists.size(e.size)
		}
		if l != nil || size != nil {
			rl.lastBatch(b.epoch).again(e, b.arena[e.begin:e.end], l != nil, size != nil)
			rl.changes++
		}
	}
	if rl.parts[readmodel.Part{}] != nil && b.lists.N > 0 {
		j := rl.lastBatch(b.epoch)
		appendAll(&j.lists, &b.lists)
		j.changes += b.lists.N
		rl.changes += b.lists.N
	}
	for _, e := range b.entered {
		if l := rl.parts[readmodel.Part{Raffle: e.raffle}]; l != nil {
			l.entry = &e.entry
		}
	}
	for _, p := range b.spoiled {
		if p.part != nil {
			rl.tryAgain(*p.part)
		}
	}
	for _, part := range b.healed {
		rl.tryAgain(part)
	}
}

// append appends a batch of the journal. Sets that the snapshot did not have consist of what the journal holds.
func (rl *reload) append(c *resp.Commands, b *batch) {
	for i := range b.books.list {
		s := b.books.list[i].key.set
		if l := rl.parts[readmodel.Part{Raffle: s.raffle}]; !l.sizes[s.size] {
			l.sizes[s.size] = true
			newest, highest := b.epoch.Newest(s.raffle, s.size), b.epoch.Highest(s.raffle, s.size)
			c.Add("UNLINK", newest, highest)
			c.Add("ZADD", newest, "+inf", readmodel.Loading)
			c.Add("ZADD", highest, "-inf", readmodel.Loading)
		}
	}
	b.append(c)
}

func (rl *reload) tryAgain(p readmodel.Part) {
	if l := rl.parts[p]; l != nil {
		l.again = true
	}
}

// journalChanges is how many changes a batch of the journal takes. They come on top of those of the stream.
const journalChanges = maxChanges / 2

// lastBatch is the last batch of the journal, or a new one if that is full.
func (rl *reload) lastBatch(e readmodel.Epoch) *batch {
	if n := len(rl.journal); n > 0 && rl.journal[n-1].changes < journalChanges && !rl.journal[n-1].isFull() {
		return rl.journal[n-1]
	}
	b := newBatch(e)
	b.plain = true
	rl.journal = append(rl.journal, b)
	return b
}

// again adds an entry of another batch, to the sets of its raffle, of its size, or both.
func (b *batch) again(e *entry, member []byte, ofRaffle, ofSize bool) {
	n := *e
	n.begin = int32(len(b.arena))
	b.arena = append(b.arena, member...)
	n.end = int32(len(b.arena))
	b.entries = append(b.entries, n)
	index, remove := int32(len(b.entries)-1), e.kind == readmodel.EventCancel
	if s := (set{e.raffle, e.size}); ofRaffle {
		b.books.add(b.entries, index, bookKey{s, remove}, bookKey{s, !remove})
	}
	if ofSize {
		b.sizes.add(b.entries, index, sizeKey{e.size, remove}, sizeKey{e.size, !remove})
	}
	b.changes++
	b.bytes += 3 * len(member)
}
