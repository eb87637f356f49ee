package projection

import (
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// AppendBegin begins the reload of a part by removing its sentinels. The name of the whole part goes into
// readmodel.ReloadKey, so that openRaffle does not write the mark meanwhile.
func AppendBegin(c *resp.Commands, e readmodel.Epoch, part readmodel.Part) {
	c.Add("SADD", readmodel.ReloadKey, part.String())
	AppendSpoil(c, e, part)
	if part.IsLists() {
		c.Add("HDEL", e.Products(), readmodel.Sentinel)
	}
}

// AppendForgetProducts removes the notes of poisoned products, because all products are read again.
func AppendForgetProducts(c *resp.Commands) {
	c.Add("EVAL", forgetProducts, "1", readmodel.PoisonedKey, productPrefix)
}

// AppendSizeSeals ends the reload of some sizes of a raffle. Only complete sets get sentinels.
func (l *Reloading) AppendSizeSeals(c *resp.Commands, e readmodel.Epoch, raffle int64, sizes []int16, whole bool) {
	for _, size := range sizes {
		script := listSize
		if whole && *l.Entry != "" && l.Sizes[size] {
			script = sealSize
		}
		appendSizeScript(c, script, e, readmodel.Part{Raffle: raffle, Size: size})
	}
}

// AppendSeal ends the reload of a part. It writes the sentinels, or for a raffle the mark, unless whole is false. sizes
// are the sizes in the snapshot, for the lists.
func (l *Reloading) AppendSeal(c *resp.Commands, cp readmodel.Checkpoint, part readmodel.Part, whole bool, sizes []int16) {
	e := cp.Epoch
	c.Add("HSET", readmodel.ReloadedKey, part.String(), cp.LSN.String())
	l.appendDone(c)
	if whole {
		c.Add("SREM", readmodel.PoisonedKey, part.String())
	}
	switch {
	case part.Raffle != 0:
		l.markRaffle(c, e, part, whole)
	case part.Size != 0:
		newest, floor := e.SizeNewest(part.Size), e.SizeFloor(part.Size)
		c.Add("EVAL", sealAll, "3", newest, floor, readmodel.ReloadKey, part.String())
		if !whole {
			AppendSpoil(c, e, part)
		}
		c.Add("EVAL", trimSize, "2", newest, floor, strconv.Itoa(readmodel.SizeKept))
	default:
		for _, size := range sizes {
			c.Add("SADD", e.AllSizes(), decimal(int64(size)))
		}
		for size := range l.Sizes {
			c.Add("SADD", e.AllSizes(), decimal(int64(size)))
		}
		c.Add("EVAL", sealLists, "4", e.Raffles(), e.Products(), e.AllSizes(), readmodel.ReloadKey, part.String())
		c.Add("APPEND", e.RafflesVersion(), "+") // so that a reader that keeps an encoded list sees that the list is another one
		if !whole {
			AppendSpoil(c, e, part)
		}
	}
}

// appendDone removes the requests, unless another reload is needed.
func (l *Reloading) appendDone(c *resp.Commands) {
	if l.Again {
		return
	}
	c.Begin(2 + len(l.names))
	c.String("SREM")
	c.String(readmodel.ReloadKey)
	for _, name := range l.names {
		c.String(name)
	}
}

func (l *Reloading) markRaffle(c *resp.Commands, e readmodel.Epoch, part readmodel.Part, whole bool) {
	if *l.Entry == "" {
		c.Add("DEL", e.Raffle(part.Raffle))
	} else {
		c.Add("SET", e.Raffle(part.Raffle), *l.Entry)
	}
	if whole && *l.Entry != "" {
		c.Add("EVAL", sealRaffle, "2", e.Sizes(part.Raffle), readmodel.ReloadKey, part.String())
	} else {
		c.Add("SREM", e.Sizes(part.Raffle), readmodel.Loading)
		AppendSpoil(c, e, part)
	}
}
