package projection

import (
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// probe is one EXISTS of every key to which a batch adds, just before the batch does. If a key is missing, it was lost,
// and the batch makes it anew without a sentinel. Only then is it looked for which key that is.
type probe struct {
	at   int   // the number of commands before it
	keys int64 // how many keys must exist; 0: there is no probe
}

// Probe returns the index of the appended command that counts existing keys, and the number that it must answer. keys
// is 0 if there is no such command.
func (b *Batch) Probe() (at int, keys int64) { return b.probe.at, b.probe.keys }

func (b *Batch) appendProbe(c *resp.Commands) {
	b.probe = probe{at: c.N}
	if b.plain {
		return
	}
	n := 3*len(b.books.list) + 2*len(b.sizes.list)
	if b.lists.N > 0 {
		n += 2
	}
	if b.probe.keys = int64(n); n == 0 {
		return
	}
	c.Begin(1 + n)
	c.String("EXISTS")
	var key [maxKey]byte
	for i := range b.books.list {
		s := b.books.list[i].key.Part
		c.Bytes(b.epoch.AppendSizes(key[:0], s.Raffle))
		c.Bytes(b.epoch.AppendNewest(key[:0], s.Raffle, s.Size))
		c.Bytes(b.epoch.AppendHighest(key[:0], s.Raffle, s.Size))
	}
	for i := range b.sizes.list {
		c.String(b.epoch.SizeNewest(b.sizes.list[i].key.size))
		c.String(b.epoch.SizeFloor(b.sizes.list[i].key.size))
	}
	if b.lists.N > 0 {
		c.String(b.epoch.Raffles())
		c.String(b.epoch.Products())
	}
}

// AppendChecks asks which of the parts of the batch were lost.
func (b *Batch) AppendChecks(c *resp.Commands) {
	for i := range b.books.list {
		appendSizeScript(c, checkSize, b.epoch, b.books.list[i].key.Part)
	}
	for i := range b.sizes.list {
		size := b.sizes.list[i].key.size
		c.Add("EVAL", checkAll, "2", b.epoch.SizeNewest(size), b.epoch.SizeFloor(size), readmodel.Part{Size: size}.String())
	}
	if b.lists.N > 0 {
		c.Add("EVAL", checkLists, "2", b.epoch.Raffles(), b.epoch.Products())
	}
}

// appendSizeScript runs openSize or another script with the same arguments.
func appendSizeScript(c *resp.Commands, script string, e readmodel.Epoch, s readmodel.Part) {
	c.Add("EVAL", script, "4", e.Sizes(s.Raffle), e.Newest(s.Raffle, s.Size), e.Highest(s.Raffle, s.Size), e.Raffle(s.Raffle),
		strconv.Itoa(int(s.Size)), readmodel.Part{Raffle: s.Raffle}.String())
}

// AppendSpoil removes the sentinels of a part. Of the lists only the list of raffles loses its sentinel, because
// products are read by id, and a product without a packing is merely missing.
func AppendSpoil(c *resp.Commands, e readmodel.Epoch, p readmodel.Part) {
	switch {
	case p.Raffle != 0:
		c.Add("EVAL", spoilRaffle, "2", e.Sizes(p.Raffle), e.AllSizes(), e.NewestPrefix(p.Raffle), e.HighestPrefix(p.Raffle))
	case p.Size != 0:
		c.Add("SADD", e.AllSizes(), decimal(int64(p.Size))) // because a size that is no member has no bids
		c.Add("ZREM", e.SizeNewest(p.Size), readmodel.Sentinel)
	default:
		c.Add("ZREM", e.Raffles(), readmodel.Sentinel)
	}
}

// openSizes is the largest number of sizes for which openRaffle looks for sets. With fifty sizes that takes Redis some
// 50 us, so openBytes allows 200 new raffles in a batch.
const (
	openSizes = "200"
	openBytes = maxBytes / 200
)

// appendGone spoils a raffle that was removed.
func appendGone(c *resp.Commands, e readmodel.Epoch, raffle int64) {
	c.Add("EVAL", spoilGone, "4", e.Sizes(raffle), e.AllSizes(), readmodel.PoisonedKey, readmodel.ReloadKey,
		e.NewestPrefix(raffle), e.HighestPrefix(raffle), readmodel.Part{Raffle: raffle}.String())
}

// AppendLists starts the lists of raffles and products with their sentinels.
func AppendLists(c *resp.Commands, e readmodel.Epoch) {
	c.Add("ZADD", e.Raffles(), "+inf", readmodel.Sentinel)
	c.Add("HSET", e.Products(), readmodel.Sentinel, "")
	c.Add("SADD", e.AllSizes(), readmodel.RaffleKnown)
}
