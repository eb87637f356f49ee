package apply

import (
	"maps"
	"slices"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
)

// sealedAtOnce is how many sizes of a raffle get their sentinels in one write. Redis takes a few microseconds for each.
const sealedAtOnce = 200

// replayable returns a channel that is always ready while the journal can be written, otherwise nil. The last batch of
// the journal waits until the checkpoint is at the snapshot's position or later and no transaction is half applied.
func (a *applier) replayable() <-chan struct{} {
	rl := a.reload
	if rl == nil || rl.snapshot == nil || rl.journal.Len() < 2 && (a.Checkpoint.LSN < rl.snapshot.At || a.Checkpoint.Applying) {
		return nil
	}
	return always
}

// replay writes the oldest batch of the journal. With the last batch it also writes the sentinels and ends the reload.
func (a *applier) replay() error {
	rl := a.reload
	if rl.journal.Len() > 1 {
		return a.write(a.Checkpoint, rl.journal.AppendOldest)
	}
	bad := make(map[string]bool)
	for _, p := range rl.loader.Poisoned {
		if p.Part != nil {
			bad[p.Name] = true
		}
	}
	err := a.write(a.Checkpoint, func(c *resp.Commands) {
		for rl.journal.Len() > 0 {
			rl.journal.AppendOldest(c)
		}
		for name := range bad {
			c.Add("SADD", readmodel.PoisonedKey, name)
		}
	})
	if err != nil {
		return err
	}
	var lost []string
	for part, l := range rl.journal.Parts {
		parts, err := a.seal(part, l, !l.Again && !bad[part.String()])
		if err != nil {
			return err
		}
		lost = append(lost, parts...)
	}
	a.poisonFound(rl.loader.Poisoned)
	for part := range rl.journal.Parts {
		a.Repairs.Reloaded(part, true)
	}
	a.Log.Warn("reloaded parts of the read model", "parts", rl.describe(), "rows_left_out", len(rl.loader.Poisoned),
		"changes_meanwhile", rl.journal.Changes, "seconds", time.Since(rl.begun).Seconds())
	a.end()
	return a.noteLost(lost)
}

// seal gives a part its sentinels and returns the names of the parts that were lost since the reload wrote them. If
// whole is false, because the part lacks a row or changed in a way that needs another reload, it gets none.
func (a *applier) seal(part readmodel.Part, l *projection.Reloading, whole bool) (lost []string, err error) {
	if part.Raffle != 0 {
		if lost, err = a.sealSizes(part.Raffle, l, whole); err != nil {
			return nil, err
		}
		if len(lost) > 0 {
			l.Again, whole = true, false
		}
	}
	err = a.write(a.Checkpoint, func(c *resp.Commands) {
		l.AppendSeal(c, a.Checkpoint, part, whole, a.reload.snapshot.Sizes)
	})
	return append(lost, a.Writer.Lost...), err
}

// sealSizes gives the sets of a raffle their sentinels, in several writes if the raffle has many sizes. The raffle's
// mark follows in seal. Nothing else is written in between.
func (a *applier) sealSizes(raffle int64, l *projection.Reloading, whole bool) (lost []string, err error) {
	e := a.Checkpoint.Epoch
	err = a.write(a.Checkpoint, func(c *resp.Commands) { c.Add("SADD", e.Sizes(raffle), readmodel.Loading) })
	for sizes := range slices.Chunk(slices.Sorted(maps.Keys(l.Sizes)), sealedAtOnce) {
		if err != nil {
			break
		}
		err = a.write(a.Checkpoint, func(c *resp.Commands) {
			l.AppendSizeSeals(c, e, raffle, sizes, whole)
		})
		lost = append(lost, a.Writer.Lost...)
	}
	return lost, err
}

// poisonFound reports rows without a packing.
func (a *applier) poisonFound(all []projection.Poison) {
	for _, p := range all {
		a.Repairs.Poisoned(p.Name, p.Table, p.Row, p.Err)
	}
}

// noteLost requests a reload of lost parts, unless they wait for one already. Nobody reads them meanwhile, because they
// lack sentinels.
func (a *applier) noteLost(names []string) error {
	var parts []readmodel.Part
	for _, name := range names {
		p, err := readmodel.ParsePart(name)
		if err != nil {
			return err
		}
		if a.pending[p] {
			continue
		}
		a.pending[p] = true
		parts = append(parts, p)
		a.Repairs.Lost(p)
	}
	if len(parts) == 0 {
		return nil
	}
	return a.write(a.Checkpoint, func(c *resp.Commands) {
		for _, p := range parts {
			c.Add("SADD", readmodel.ReloadKey, p.String())
		}
	})
}
