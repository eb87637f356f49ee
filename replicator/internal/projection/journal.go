package projection

import (
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// Journal keeps the changes of the parts that a reload copies, in order, until the copy is written.
type Journal struct {
	Parts   map[readmodel.Part]*Reloading
	Changes int // in batches
	batches []*Batch
}

// Reloading is a part that is reloaded. If it is a raffle, its key in Journal.Parts has no size.
type Reloading struct {
	names []string       // its requests in readmodel.ReloadKey; the first is that of the whole part
	Sizes map[int16]bool // of a raffle: its sizes, and whether their sets are begun anew; of the lists: the sizes of new bids
	Entry *string        // the entry of a raffle, "" if the raffle does not exist; nil: not known yet
	Again bool           // another reason to reload the part came up during the reload
}

// NewReloading makes the reload of a part.
func NewReloading(part readmodel.Part) *Reloading {
	return &Reloading{names: []string{part.String()}, Sizes: make(map[int16]bool)}
}

// Request notes a request for the part. Its name is that of the part, or that of the raffle with a size.
func (l *Reloading) Request(name string) {
	if name != l.names[0] {
		l.names = append(l.names, name)
	}
}

// Size notes a size, unless it is known already.
func (l *Reloading) Size(size int16) {
	if !l.Sizes[size] {
		l.Sizes[size] = false
	}
}

// Note keeps those changes of a written batch that concern the parts.
func (j *Journal) Note(b *Batch) {
	for i := range b.entries {
		j.noteEntry(b, &b.entries[i])
	}
	if j.Parts[readmodel.Part{}] != nil && b.lists.N > 0 {
		last := j.lastBatch(b.epoch)
		last.lists.AddAll(&b.lists)
		last.Changes += b.lists.N
		j.Changes += b.lists.N
	}
	for _, e := range b.Entered {
		if l := j.Parts[readmodel.Part{Raffle: e.Raffle}]; l != nil {
			l.Entry = &e.Entry
		}
	}
	for _, p := range b.Spoiled {
		if p.Part != nil {
			j.tryAgain(*p.Part)
		}
	}
	for _, part := range b.healed {
		j.tryAgain(part)
	}
}

func (j *Journal) noteEntry(b *Batch, e *entry) {
	if !e.hasBid() {
		return
	}
	l, size, lists := j.Parts[readmodel.Part{Raffle: e.raffle}], j.Parts[readmodel.Part{Size: e.size}], j.Parts[readmodel.Part{}]
	if l != nil {
		l.Size(e.size)
	}
	if lists != nil {
		lists.Size(e.size)
	}
	if l != nil || size != nil {
		j.lastBatch(b.epoch).again(e, b.arena[e.begin:e.end], l != nil, size != nil)
		j.Changes++
	}
}

func (j *Journal) tryAgain(p readmodel.Part) {
	if l := j.Parts[p]; l != nil {
		l.Again = true
	}
}

// Len is how many batches the journal has.
func (j *Journal) Len() int { return len(j.batches) }

// AppendOldest appends the oldest batch and takes it out of the journal.
func (j *Journal) AppendOldest(c *resp.Commands) {
	b := j.batches[0]
	j.batches = j.batches[1:]
	j.append(c, b)
}

// append appends a batch. If the snapshot did not have a set, append begins the set anew, so that it holds only what
// the journal has.
func (j *Journal) append(c *resp.Commands, b *Batch) {
	for i := range b.books.list {
		s := b.books.list[i].key.Part
		if l := j.Parts[readmodel.Part{Raffle: s.Raffle}]; !l.Sizes[s.Size] {
			l.Sizes[s.Size] = true
			newest, highest := b.epoch.Newest(s.Raffle, s.Size), b.epoch.Highest(s.Raffle, s.Size)
			c.Add("UNLINK", newest, highest)
			c.Add("ZADD", newest, "+inf", readmodel.Loading)
			c.Add("ZADD", highest, "-inf", readmodel.Loading)
		}
	}
	b.Append(c)
}

// journalChanges is how many changes a batch of the journal takes. It is less than MaxChanges, because these writes
// come on top of those of the stream.
const journalChanges = MaxChanges / 2

// lastBatch returns the last batch of the journal, or a new one if the last is full.
func (j *Journal) lastBatch(e readmodel.Epoch) *Batch {
	if n := len(j.batches); n > 0 && j.batches[n-1].Changes < journalChanges && !j.batches[n-1].IsFull() {
		return j.batches[n-1]
	}
	b := NewBatch(e)
	b.plain = true
	j.batches = append(j.batches, b)
	return b
}

// again adds an entry of another batch to the sets of its raffle, to the set of its size, or to both.
func (b *Batch) again(e *entry, member []byte, ofRaffle, ofSize bool) {
	n := *e
	n.begin = int32(len(b.arena))
	b.arena = append(b.arena, member...)
	n.end = int32(len(b.arena))
	b.entries = append(b.entries, n)
	b.chain(int32(len(b.entries)-1), ofRaffle, ofSize)
	b.Changes++
	b.Bytes += 3 * len(member)
}
