package apply

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/snapshot"
)

// A reload loads some parts of the served epoch anew while the stream goes on:
//
//  1. The parts lose their sentinels, so that SQL answers for them. From then on the applier also keeps their
//     changes in a journal.
//  2. A temporary slot exports a snapshot. Its position C comes after the beginning of the journal, so that the
//     snapshot and the journal together miss no change.
//  3. The rows of the snapshot replace what the parts hold, readmodel.Loading first. Changes of the stream that are
//     written meanwhile may be overwritten.
//  4. The journal is replayed on top, in order. For each bid its last change counts, so changes that are in the
//     snapshot already do no harm.
//  5. Once the checkpoint is at C or later and no transaction is half applied, the rest of the journal is written,
//     and then the sentinels, while the checkpoint stays: the parts are what the primary held there. A sentinel takes
//     the place of readmodel.Loading. A key without readmodel.Loading was lost meanwhile, and its part is reloaded again.
//
// Every write is a flush of the applier, fenced as all are. What is still to be reloaded stands in
// readmodel.ReloadKey, so the next session takes up what this one has not ended.
type reload struct {
	journal  projection.Journal
	begun    time.Time
	loader   *snapshot.Loader
	copied   chan snapshot.Copied
	snapshot *snapshot.Copied // once it is written
	cancel   context.CancelFunc
}

const (
	// maxJournal bounds how many changes a reload keeps, about 100 bytes each. One that needs more is given up.
	maxJournal = 500_000
	// reloadEvery is how often requests are looked for, and reloadAgain the pause before another try.
	reloadEvery = 250 * time.Millisecond
	reloadAgain = 5 * time.Second
	// reloadParts is how many parts a reload takes at most: they share a snapshot.
	reloadParts = 100
)

var errJournal = errors.New("too many changes came in while it was copied")

// always is a channel that can be received from at any time.
var always = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// wanted looks for parts to reload, until the context ends.
func (a *applier) wanted(ctx context.Context, names chan<- []string) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		all, err := a.Redis.SMembers(ctx, readmodel.ReloadKey).Result()
		if err != nil {
			continue // the applier notices a Redis that does not answer
		}
		if poisoned, err := a.Redis.SCard(ctx, readmodel.PoisonedKey).Result(); err == nil {
			a.Repairs.Waiting(len(all), poisoned)
		}
		if len(all) == 0 {
			continue
		}
		slices.Sort(all)
		select {
		case names <- all:
		case <-ctx.Done():
			return nil
		}
	}
}

// begin begins the reload of what may be tried.
func (a *applier) begin(ctx context.Context, names []string) error {
	if a.reload != nil {
		return nil
	}
	rl := &reload{begun: time.Now(), copied: make(chan snapshot.Copied, 1)}
	rl.journal.Parts = make(map[readmodel.Part]*projection.Reloading)
	for _, name := range names {
		part, err := readmodel.ParsePart(name)
		if err != nil {
			if err := a.forget(name); err != nil {
				return err
			}
			continue
		}
		rl.add(name, part, a.tried)
	}
	if len(rl.journal.Parts) == 0 {
		return nil
	}
	a.Log.Info("reloading parts of the read model", "parts", rl.describe())
	for part := range rl.journal.Parts {
		a.pending[part] = true
		if err := a.write(a.Checkpoint, func(c *resp.Commands) { projection.AppendBegin(c, a.Checkpoint.Epoch, part) }); err != nil {
			return err
		}
	}
	a.reload = rl
	a.copy(ctx, rl)
	return nil
}

// add takes a request up, unless it has to wait.
func (rl *reload) add(name string, part readmodel.Part, tried map[readmodel.Part]time.Time) {
	named := part.Size
	if part.Raffle != 0 {
		part.Size = 0
	}
	l := rl.journal.Parts[part]
	if l == nil {
		if len(rl.journal.Parts) == reloadParts || time.Now().Before(tried[part]) {
			return
		}
		l = projection.NewReloading(part)
		rl.journal.Parts[part] = l
	}
	l.Request(name)
	if part.Raffle != 0 && named != 0 {
		l.Size(named)
	}
}

// describe names the parts.
func (rl *reload) describe() string {
	var all []string
	for part := range rl.journal.Parts {
		all = append(all, part.String())
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// forget takes a request away that names no part.
func (a *applier) forget(name string) error {
	return a.write(a.Checkpoint, func(c *resp.Commands) { c.Add("SREM", readmodel.ReloadKey, name) })
}

// chunks are what the snapshot's reader hands over; nil while there is none.
func (a *applier) chunks() <-chan *snapshot.Chunk {
	if a.reload == nil || a.reload.snapshot != nil {
		return nil
	}
	return a.reload.loader.Full
}

// chunk writes a piece of the snapshot; none is the end of it.
func (a *applier) chunk(p *snapshot.Chunk) error {
	rl := a.reload
	if p != nil {
		if err := a.write(a.Checkpoint, func(c *resp.Commands) { c.AddAll(&p.Commands) }); err != nil {
			return err
		}
		rl.loader.Release(p)
		return nil
	}
	got := <-rl.copied
	if got.Err != nil {
		return a.giveUp(got.Err)
	}
	rl.snapshot = &got
	for part, l := range rl.journal.Parts {
		for _, size := range got.Stored[part.Raffle] {
			l.Size(size)
		}
		for _, size := range got.Sized[part.Raffle] {
			l.Sizes[size] = true
		}
		if entry := got.Entries[part.Raffle]; l.Entry == nil {
			l.Entry = &entry
		}
	}
	return nil
}

// end makes room for the next reload.
func (a *applier) end() {
	a.reload.cancel()
	for part := range a.reload.journal.Parts {
		delete(a.pending, part)
	}
	a.reload = nil
}

// giveUp leaves the parts as they are, without sentinels, for a later try.
func (a *applier) giveUp(err error) error {
	for part := range a.reload.journal.Parts {
		a.Repairs.Reloaded(part, false)
		a.tried[part] = time.Now().Add(reloadAgain)
	}
	a.Log.Error("parts of the read model could not be reloaded, and are tried again", "parts", a.reload.describe(), "error", err)
	a.end()
	return nil
}
