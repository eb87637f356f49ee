package project

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// sealedAtOnce is how many sizes of a raffle get their sentinels in one flush, in a few microseconds each.
const sealedAtOnce = 200

// replayable can be received from while the journal can be replayed.
func (a *applier) replayable() <-chan struct{} {
	rl := a.reload
	if rl == nil || rl.snapshot == nil || len(rl.journal) < 2 && (a.checkpoint.LSN < rl.snapshot.at || a.checkpoint.Applying) {
		return nil
	}
	return always
}

// replay writes the oldest batch of the journal, and with the last one ends the reload.
func (a *applier) replay() error {
	rl := a.reload
	if len(rl.journal) > 1 {
		b := rl.journal[0]
		rl.journal = rl.journal[1:]
		return a.write(a.checkpoint, b.append)
	}
	bad := make(map[string]bool)
	for _, p := range rl.loader.poisoned {
		if p.part != nil {
			bad[p.name] = true
		}
	}
	err := a.write(a.checkpoint, func(c *resp.Commands) {
		for _, b := range rl.journal {
			b.append(c)
		}
		for name := range bad {
			c.Add("SADD", readmodel.PoisonedKey, name)
		}
	})
	if err != nil {
		return err
	}
	for part, l := range rl.parts {
		if err := a.seal(part, l, !l.again && !bad[part.String()]); err != nil {
			return err
		}
	}
	for _, p := range rl.loader.poisoned {
		a.mends.poisonFound(p)
	}
	for part := range rl.parts {
		a.mends.reloads.WithLabelValues(kindOf(part)).Inc()
	}
	a.mends.log.Warn("reloaded parts of the read model", "parts", rl.describe(), "rows_left_out", len(rl.loader.poisoned),
		"changes_meanwhile", rl.changes, "seconds", time.Since(rl.begun).Seconds())
	a.end()
	return nil
}

// appendDone takes the requests away, unless there are others since.
func (l *loading) appendDone(c *resp.Commands) {
	if l.again {
		return
	}
	c.Begin(2 + len(l.names))
	c.String("SREM")
	c.String(readmodel.ReloadKey)
	for _, name := range l.names {
		c.String(name)
	}
}

// seal gives a part its sentinels. One that lacks a row stays without those that say so. Nothing but the sentinels
// is written meanwhile, so a raffle with many sizes gets them in several flushes, and its mark in the last one.
func (a *applier) seal(part readmodel.Part, l *loading, whole bool) error {
	e := a.checkpoint.Epoch
	if part.Raffle != 0 {
		script := listSize
		if whole && *l.entry != "" {
			script = sealSize
		}
		for sizes := range slices.Chunk(slices.Sorted(maps.Keys(l.sizes)), sealedAtOnce) {
			err := a.write(a.checkpoint, func(c *resp.Commands) {
				for _, size := range sizes {
					appendSizeScript(c, script, e, set{part.Raffle, size})
				}
			})
			if err != nil {
				return err
			}
		}
	}
	return a.write(a.checkpoint, func(c *resp.Commands) {
		a.reload.appendSeal(c, e, part, whole)
		c.Add("HSET", readmodel.ReloadedKey, part.String(), a.checkpoint.LSN.String())
		l.appendDone(c)
	})
}

// appendSeal writes the sentinels, of a raffle the mark.
func (rl *reload) appendSeal(c *resp.Commands, e readmodel.Epoch, part readmodel.Part, whole bool) {
	switch {
	case part.Raffle != 0:
		rl.parts[part].markRaffle(c, e, part.Raffle, whole)
	case part.Size != 0:
		if whole {
			c.Add("ZADD", e.SizeNewest(part.Size), "+inf", readmodel.Sentinel)
		}
		c.Add("EVAL", trimSize, "2", e.SizeNewest(part.Size), e.SizeFloor(part.Size), strconv.Itoa(readmodel.SizeKept))
	default:
		for _, size := range rl.snapshot.sizes {
			c.Add("SADD", e.AllSizes(), strconv.Itoa(int(size)))
		}
		sealLists(c, e)
		c.Add("APPEND", e.RafflesVersion(), "+") // whoever keeps an encoded list must see that it is another one
		if !whole {
			appendSpoil(c, e, part)
		}
	}
	if whole {
		c.Add("SREM", readmodel.PoisonedKey, part.String())
	}
}

func (l *loading) markRaffle(c *resp.Commands, e readmodel.Epoch, id int64, whole bool) {
	if *l.entry == "" {
		c.Add("DEL", e.Raffle(id))
	} else {
		c.Add("SET", e.Raffle(id), *l.entry)
	}
	if whole && *l.entry != "" {
		c.Add("SADD", e.Sizes(id), readmodel.RaffleKnown)
	} else {
		appendSpoil(c, e, readmodel.Part{Raffle: id})
	}
}
