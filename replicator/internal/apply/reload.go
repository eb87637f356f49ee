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
//  1. The parts lose their sentinels, so that SQL answers for them. From then on the applier also keeps their changes
//     in a journal.
//  2. A temporary slot exports a snapshot. The snapshot's position C is after the beginning of the journal, so the
//     snapshot and the journal together miss no change.
//  3. The rows of the snapshot replace what the parts hold. Each key begins with readmodel.Loading. The snapshot may
//     overwrite changes that the stream writes meanwhile.
//  4. The journal is written on top, in order. The last change of each bid counts, so changes that the snapshot
//     already has do no harm.
//  5. When the checkpoint is at C or later and no transaction is half applied, the rest of the journal is written, and
//     then the sentinels, at the same checkpoint. Now the parts are what the primary held at that position. A sentinel
//     replaces readmodel.Loading. If a key lacks readmodel.Loading, it was lost meanwhile, and its part is reloaded
//     again.
//
// The applier makes every write, so each is fenced. The names of the parts stay in readmodel.ReloadKey until they are
// reloaded, so that the next session takes up what this one has not ended.
type reload struct {
	journal  projection.Journal
	begun    time.Time
	loader   *snapshot.Loader
	copied   chan snapshot.Copied
	snapshot *snapshot.Copied // nil until all chunks are written
	cancel   context.CancelFunc
}

const (
	// maxJournal bounds how many changes a reload keeps, about 100 bytes each. If more come, the reload is given up and
	// tried again later.
	maxJournal = 500_000
	// reloadEvery is how often requests are read. reloadAgain is the pause after a reload that failed.
	reloadEvery = 250 * time.Millisecond
	reloadAgain = 5 * time.Second
	// reloadParts is how many parts one reload takes at most. They share a snapshot.
	reloadParts = 100
)

var errJournal = errors.New("too many changes came in while it was copied")

// always is a channel that can be received from at any time.
var always = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// wanted reads the requests for reloads, until the context ends.
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
			a.Repairs.Spoiled(poisoned)
		}
		a.Repairs.Waiting(len(all))
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

// begin begins a reload of the requested parts, unless one runs or a pause is ordered, in which none could end. It leaves
// out parts whose reload failed less than reloadAgain ago.
func (a *applier) begin(ctx context.Context, names []string) error {
	if a.reload != nil || a.ordered != nil {
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

// add adds a requested part to the reload, unless the part has to wait or the reload has enough parts.
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

func (rl *reload) describe() string {
	var all []string
	for part := range rl.journal.Parts {
		all = append(all, part.String())
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// forget removes a request that names no part.
func (a *applier) forget(name string) error {
	return a.write(a.Checkpoint, func(c *resp.Commands) { c.Add("SREM", readmodel.ReloadKey, name) })
}

// chunks returns the chunks of the snapshot; nil while none are to be written.
func (a *applier) chunks() <-chan *snapshot.Chunk {
	if a.reload == nil || a.reload.snapshot != nil {
		return nil
	}
	return a.reload.loader.Full
}

// chunk writes a chunk of the snapshot. nil means that the channel is closed, after the last chunk.
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

// end frees the applier for the next reload.
func (a *applier) end() {
	a.reload.cancel()
	for part := range a.reload.journal.Parts {
		delete(a.pending, part)
	}
	a.reload = nil
}

// giveUp ends a reload that failed. The parts stay without sentinels until they are tried again.
func (a *applier) giveUp(err error) error {
	for part := range a.reload.journal.Parts {
		a.Repairs.Reloaded(part, false)
		a.tried[part] = time.Now().Add(reloadAgain)
	}
	a.Log.Error("parts of the read model could not be reloaded, and are tried again", "parts", a.reload.describe(), "error", err)
	a.end()
	return nil
}
