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
		return a.write(a.checkpoint, func(c *resp.Commands) { rl.append(c, b) })
	}
	bad := make(map[string]bool)
	for _, p := range rl.loader.poisoned {
		if p.part != nil {
			bad[p.name] = true
		}
	}
	err := a.write(a.checkpoint, func(c *resp.Commands) {
		for _, b := range rl.journal {
			rl.append(c, b)
		}
		for name := range bad {
			c.Add("SADD", readmodel.PoisonedKey, name)
		}
	})
	if err != nil {
		return err
	}
	var lost []string
	for part, l := range rl.parts {
		parts, err := a.seal(part, l, !l.again && !bad[part.String()])
		if err != nil {
			return err
		}
		lost = append(lost, parts...)
	}
	for _, p := range rl.loader.poisoned {
		a.repairs.poisonFound(p)
	}
	for part := range rl.parts {
		a.repairs.reloads.WithLabelValues(kindOf(part)).Inc()
	}
	a.repairs.log.Warn("reloaded parts of the read model", "parts", rl.describe(), "rows_left_out", len(rl.loader.poisoned),
		"changes_meanwhile", rl.changes, "seconds", time.Since(rl.begun).Seconds())
	a.end()
	return a.noteLost(lost)
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

// seal gives a part its sentinels, and returns the names of what was lost since the reload wrote it. A part that lacks a
// row stays without the sentinels that say so.
func (a *applier) seal(part readmodel.Part, l *loading, whole bool) (lost []string, err error) {
	if part.Raffle != 0 {
		if lost, err = a.sealSizes(part.Raffle, l, whole); err != nil {
			return nil, err
		}
		if len(lost) > 0 {
			l.again, whole = true, false
		}
	}
	err = a.write(a.checkpoint, func(c *resp.Commands) {
		c.Add("HSET", readmodel.ReloadedKey, part.String(), a.checkpoint.LSN.String())
		l.appendDone(c)
		a.reload.appendSeal(c, a.checkpoint.Epoch, part, whole)
	})
	return append(lost, a.writer.Lost...), err
}

// sealSizes gives the sets of a raffle their sentinels. Nothing else is written meanwhile, so a raffle with many sizes
// gets them in several flushes, and its mark afterwards.
func (a *applier) sealSizes(raffle int64, l *loading, whole bool) (lost []string, err error) {
	e := a.checkpoint.Epoch
	err = a.write(a.checkpoint, func(c *resp.Commands) { c.Add("SADD", e.Sizes(raffle), readmodel.Loading) })
	for sizes := range slices.Chunk(slices.Sorted(maps.Keys(l.sizes)), sealedAtOnce) {
		if err != nil {
			break
		}
		err = a.write(a.checkpoint, func(c *resp.Commands) {
			for _, size := range sizes {
				script := listSize
				if whole && *l.entry != "" && l.sizes[size] {
					script = sealSize
				}
				appendSizeScript(c, script, e, set{raffle, size})
			}
		})
		lost = append(lost, a.writer.Lost...)
	}
	return lost, err
}

// appendSeal writes the sentinels, of a raffle the mark.
func (rl *reload) appendSeal(c *resp.Commands, e readmodel.Epoch, part readmodel.Part, whole bool) {
	if whole {
		c.Add("SREM", readmodel.PoisonedKey, part.String())
	}
	switch {
	case part.Raffle != 0:
		rl.parts[part].markRaffle(c, e, part, whole)
	case part.Size != 0:
		newest, floor := e.SizeNewest(part.Size), e.SizeFloor(part.Size)
		c.Add("EVAL", sealAll, "3", newest, floor, readmodel.ReloadKey, part.String())
		if !whole {
			appendSpoil(c, e, part)
		}
		c.Add("EVAL", trimSize, "2", newest, floor, strconv.Itoa(readmodel.SizeKept))
	default:
		for _, size := range rl.snapshot.sizes {
			c.Add("SADD", e.AllSizes(), decimal(int64(size)))
		}
		for size := range rl.parts[part].sizes {
			c.Add("SADD", e.AllSizes(), decimal(int64(size)))
		}
		c.Add("EVAL", sealLists, "4", e.Raffles(), e.Products(), e.AllSizes(), readmodel.ReloadKey, part.String())
		c.Add("APPEND", e.RafflesVersion(), "+") // whoever keeps an encoded list must see that it is another one
		if !whole {
			appendSpoil(c, e, part)
		}
	}
}

func (l *loading) markRaffle(c *resp.Commands, e readmodel.Epoch, part readmodel.Part, whole bool) {
	if *l.entry == "" {
		c.Add("DEL", e.Raffle(part.Raffle))
	} else {
		c.Add("SET", e.Raffle(part.Raffle), *l.entry)
	}
	if whole && *l.entry != "" {
		c.Add("EVAL", sealRaffle, "2", e.Sizes(part.Raffle), readmodel.ReloadKey, part.String())
	} else {
		c.Add("SREM", e.Sizes(part.Raffle), readmodel.Loading)
		appendSpoil(c, e, part)
	}
}
