package project

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
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
	parts   map[readmodel.Part]*loading
	journal []*batch
	changes int
	begun   time.Time

	loader   *loader
	copied   chan copied
	snapshot *copied // once it is written
	cancel   context.CancelFunc
}

// loading is a part of a reload: of a raffle, its key in the map has no size.
type loading struct {
	names []string       // in ReloadKey, first that of the part as a whole
	sizes map[int16]bool // of a raffle, whose sets are replaced, and whether they are begun; of the lists, all new ones
	entry *string        // of a raffle, "" if it does not exist; nil: no change of it has come
	again bool           // a reason to reload the part came up meanwhile
}

func newLoading(name string) *loading {
	return &loading{names: []string{name}, sizes: make(map[int16]bool)}
}

// copied is what a snapshot has told besides rows.
type copied struct {
	at      lsn.LSN           // the position of the snapshot
	entries map[int64]string  // of the raffles that exist
	stored  map[int64][]int16 // the sizes of each raffle in Redis
	sized   map[int64][]int16 // those in the snapshot
	sizes   []int16           // that have bids, with the lists
	err     error
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
func (r *Replicator) wanted(ctx context.Context, names chan<- []string) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		all, err := r.redis.SMembers(ctx, readmodel.ReloadKey).Result()
		if err != nil {
			continue // the applier notices a Redis that does not answer
		}
		if poisoned, err := r.redis.SCard(ctx, readmodel.PoisonedKey).Result(); err == nil {
			r.repairs.spoiled.Set(float64(poisoned))
		}
		r.repairs.reloading.Set(float64(len(all)))
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
	rl := &reload{parts: make(map[readmodel.Part]*loading), begun: time.Now(), copied: make(chan copied, 1)}
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
	if len(rl.parts) == 0 {
		return nil
	}
	a.repairs.log.Info("reloading parts of the read model", "parts", rl.describe())
	for part := range rl.parts {
		a.pending[part] = true
		if err := a.write(a.checkpoint, func(c *resp.Commands) { appendBegin(c, a.checkpoint.Epoch, part) }); err != nil {
			return err
		}
	}
	a.reload = rl
	a.copy(ctx, rl)
	return nil
}

// appendBegin takes the sentinels of a part away. It stands in readmodel.ReloadKey as a whole, so that openRaffle
// gives no mark.
func appendBegin(c *resp.Commands, e readmodel.Epoch, part readmodel.Part) {
	c.Add("SADD", readmodel.ReloadKey, part.String())
	appendSpoil(c, e, part)
	if part.IsLists() {
		c.Add("HDEL", e.Products(), readmodel.Sentinel)
	}
}

// add takes a request up, unless it has to wait.
func (rl *reload) add(name string, part readmodel.Part, tried map[readmodel.Part]time.Time) {
	named := part.Size
	if part.Raffle != 0 {
		part.Size = 0
	}
	l := rl.parts[part]
	if l == nil {
		if len(rl.parts) == reloadParts || time.Now().Before(tried[part]) {
			return
		}
		l = newLoading(part.String())
		rl.parts[part] = l
	}
	if name != l.names[0] {
		l.names = append(l.names, name)
	}
	if part.Raffle != 0 && named != 0 {
		l.size(named)
	}
}

// size notes a size, which may be there already.
func (l *loading) size(size int16) {
	if !l.sizes[size] {
		l.sizes[size] = false
	}
}

// describe names the parts.
func (rl *reload) describe() string {
	var all []string
	for part := range rl.parts {
		all = append(all, part.String())
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// forget takes a request away that names no part.
func (a *applier) forget(name string) error {
	return a.write(a.checkpoint, func(c *resp.Commands) { c.Add("SREM", readmodel.ReloadKey, name) })
}

// chunks are what the snapshot's reader hands over; nil while there is none.
func (a *applier) chunks() <-chan *chunk {
	if a.reload == nil || a.reload.snapshot != nil {
		return nil
	}
	return a.reload.loader.full
}

// chunk writes a piece of the snapshot; none is the end of it.
func (a *applier) chunk(p *chunk) error {
	rl := a.reload
	if p != nil {
		if err := a.write(a.checkpoint, func(c *resp.Commands) { appendAll(c, &p.commands) }); err != nil {
			return err
		}
		rl.loader.release(p)
		return nil
	}
	got := <-rl.copied
	if got.err != nil {
		return a.giveUp(got.err)
	}
	rl.snapshot = &got
	for part, l := range rl.parts {
		for _, size := range got.stored[part.Raffle] {
			l.size(size)
		}
		for _, size := range got.sized[part.Raffle] {
			l.sizes[size] = true
		}
		if entry := got.entries[part.Raffle]; l.entry == nil {
			l.entry = &entry
		}
	}
	return nil
}

// end makes room for the next reload.
func (a *applier) end() {
	a.reload.cancel()
	for part := range a.reload.parts {
		delete(a.pending, part)
	}
	a.reload = nil
}

// giveUp leaves the parts as they are, without sentinels, for a later try.
func (a *applier) giveUp(err error) error {
	for part := range a.reload.parts {
		a.repairs.fails.WithLabelValues(kindOf(part)).Inc()
		a.tried[part] = time.Now().Add(reloadAgain)
	}
	a.repairs.log.Error("parts of the read model could not be reloaded, and are tried again", "parts", a.reload.describe(), "error", err)
	a.end()
	return nil
}
