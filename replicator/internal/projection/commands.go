package projection

import (
	"encoding/binary"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// maxKey is the usual length of a key at most. A longer one costs an allocation.
const maxKey = 64

// Append appends every command of the batch.
func (b *Batch) Append(c *resp.Commands) {
	c.AddAll(&b.opens)
	b.appendProbe(c)
	var key [maxKey]byte
	for i := range b.books.list {
		l := &b.books.list[i]
		b.appendBook(c, l, b.epoch.AppendNewest(key[:0], l.key.Raffle, l.key.Size), false)
		b.appendBook(c, l, b.epoch.AppendHighest(key[:0], l.key.Raffle, l.key.Size), true)
	}
	for i := range b.sizes.list {
		b.appendSize(c, &b.sizes.list[i])
	}
	for i := range b.live.list {
		b.appendLive(c, &b.live.list[i])
	}
	c.AddAll(&b.others)
	c.AddAll(&b.lists)
	if b.version.LSN != 0 {
		c.Add("SET", b.epoch.RafflesVersion(), b.version.String())
	}
	for s := range b.emptied {
		appendSizeScript(c, forgetEmpty, b.epoch, s)
	}
	for _, size := range b.trimmed {
		c.Add("EVAL", trimSize, "2", b.epoch.SizeNewest(size), b.epoch.SizeFloor(size), strconv.Itoa(readmodel.SizeKept))
	}
	b.appendSpoiled(c)
}

func (b *Batch) appendBook(c *resp.Commands, l *chain[bookKey], key []byte, highest bool) {
	beginChain(c, key, l.key.remove, l.length)
	for i := l.head; i >= 0; i = b.entries[i].next[inBook] {
		e := &b.entries[i]
		switch {
		case l.key.remove:
		case highest:
			c.Int(e.highest)
		default:
			c.Int(e.newest)
		}
		c.Bytes(b.arena[e.begin:e.end])
	}
}

// appendSize adds the bids to the set over all raffles. There a member has the raffle behind the prefix
// (readmodel.Bid.AppendSizeMember), which appendSize inserts into the member of the raffle's set.
func (b *Batch) appendSize(c *resp.Commands, l *chain[sizeKey]) {
	beginChain(c, []byte(b.epoch.SizeNewest(l.key.size)), l.key.remove, l.length)
	var varint [binary.MaxVarintLen64]byte
	for i := l.head; i >= 0; i = b.entries[i].next[inSize] {
		e := &b.entries[i]
		if !l.key.remove {
			c.Int(e.newest)
		}
		member, raffle := b.arena[e.begin:e.end], binary.AppendUvarint(varint[:0], uint64(e.raffle))
		c.Head(len(member) + len(raffle))
		c.Wire = append(c.Wire, member[:readmodel.PrefixLen]...)
		c.Wire = append(c.Wire, raffle...)
		c.Wire = append(c.Wire, member[readmodel.PrefixLen:]...)
		c.Tail()
	}
}

func beginChain(c *resp.Commands, key []byte, remove bool, length int) {
	if remove {
		c.Begin(2 + length)
		c.String("ZREM")
	} else {
		c.Begin(2 + 2*length)
		c.String("ZADD")
	}
	c.Bytes(key)
}

// appendLive adds all events of a raffle in a transaction as one entry of its stream (readmodel.Event.AppendEvent).
func (b *Batch) appendLive(c *resp.Commands, l *chain[liveKey]) {
	var varint [binary.MaxVarintLen64]byte
	size := 0
	for i := l.head; i >= 0; i = b.entries[i].next[inLive] {
		e := &b.entries[i]
		size += int(e.end - e.begin)
		if e.hasBid() {
			size += 1 + len(binary.AppendUvarint(varint[:0], uint64(e.size)))
		}
	}
	id := readmodel.EventID{LSN: l.key.commit, N: b.entries[l.tail].number}
	c.Begin(8)
	for _, s := range []string{"XADD", b.epoch.Live(l.key.raffle), "MAXLEN", "~", liveEntries, id.String(), readmodel.LiveField} {
		c.String(s)
	}
	c.Head(size)
	for i := l.head; i >= 0; i = b.entries[i].next[inLive] {
		e := &b.entries[i]
		if e.hasBid() {
			c.Wire = binary.AppendUvarint(append(c.Wire, byte(e.kind)), uint64(e.size))
		}
		c.Wire = append(c.Wire, b.arena[e.begin:e.end]...)
	}
	c.Tail()
}

var liveEntries = strconv.Itoa(readmodel.LiveEntries)
