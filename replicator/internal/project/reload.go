package project

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// A reload loads some parts of the served epoch anew while the stream goes on:
//
//  1. The parts lose their sentinels, so that SQL answers for them. From this flush on the applier also keeps
//     their changes in a journal.
//  2. A temporary slot exports a snapshot. Its position C comes after the beginning of the journal, so that the
//     snapshot and the journal together miss no change.
//  3. The rows of the snapshot replace what the parts hold. Changes of the stream that are written meanwhile may
//     be overwritten.
//  4. The journal is replayed on top, in order. For each bid its last change counts, so changes that are in the
//     snapshot already do no harm.
//  5. Once the checkpoint is at C or later and no transaction is half applied, one flush writes the rest of the
//     journal and the sentinels: the parts are what the primary held at the checkpoint.
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
	names []string       // in ReloadKey
	sizes map[int16]bool // of a raffle, whose sets are replaced
	entry *string        // of a raffle, "" if it does not exist; nil: no change of it has come
	again bool           // a reason to reload the part came up meanwhile
}

// copied is what a snapshot has told besides rows.
type copied struct {
	at      lsn.LSN           // the position of the snapshot
	entries map[int64]string  // of the raffles that exist
	stored  map[int64][]int16 // the sizes of each raffle in Redis
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
			r.mends.spoiled.Set(float64(poisoned))
		}
		r.mends.reloading.Set(float64(len(all)))
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
	a.mends.log.Info("reloading parts of the read model", "parts", rl.describe())
	err := a.write(a.checkpoint, func(c *resp.Commands) {
		for part := range rl.parts {
			a.pending[part] = true
			appendSpoil(c, a.checkpoint.Epoch, part)
			if part.IsLists() {
				c.Add("HDEL", a.checkpoint.Epoch.Products(), readmodel.Sentinel)
			}
		}
	})
	if err != nil {
		return err
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
	l := rl.parts[part]
	if l == nil {
		if len(rl.parts) == reloadParts || time.Now().Before(tried[part]) {
			return
		}
		l = &loading{sizes: make(map[int16]bool)}
		rl.parts[part] = l
	}
	l.names = append(l.names, name)
	if part.Raffle != 0 && named != 0 {
		l.sizes[named] = true
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

// parcels are what the snapshot's reader hands over; nil while there is none.
func (a *applier) parcels() <-chan *parcel {
	if a.reload == nil || a.reload.snapshot != nil {
		return nil
	}
	return a.reload.loader.full
}

// replayable can be received from while the journal can be replayed.
func (a *applier) replayable() <-chan struct{} {
	rl := a.reload
	if rl == nil || rl.snapshot == nil || len(rl.journal) < 2 && (a.checkpoint.LSN < rl.snapshot.at || a.checkpoint.Applying) {
		return nil
	}
	return always
}

// parcel writes a piece of the snapshot; none is the end of it.
func (a *applier) parcel(p *parcel) error {
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
			l.sizes[size] = true
		}
		if entry := got.entries[part.Raffle]; l.entry == nil {
			l.entry = &entry
		}
	}
	return nil
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
		bad[p.name] = true
	}
	err := a.write(a.checkpoint, func(c *resp.Commands) {
		for _, b := range rl.journal {
			b.append(c)
		}
		for name := range bad {
			c.Add("SADD", readmodel.PoisonedKey, name)
		}
		for part, l := range rl.parts {
			rl.seal(c, a.checkpoint.Epoch, part, !l.again && !bad[part.String()])
			c.Add("HSET", readmodel.ReloadedKey, part.String(), a.checkpoint.LSN.String())
			l.appendDone(c)
		}
	})
	if err != nil {
		return err
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
		a.mends.fails.WithLabelValues(kindOf(part)).Inc()
		a.tried[part] = time.Now().Add(reloadAgain)
	}
	a.mends.log.Error("parts of the read model could not be reloaded, and are tried again", "parts", a.reload.describe(), "error", err)
	a.end()
	return nil
}

// seal gives a part its sentinels. One that lacks a row stays without those that say so.
func (rl *reload) seal(c *resp.Commands, e readmodel.Epoch, part readmodel.Part, whole bool) {
	switch {
	case part.Raffle != 0:
		rl.parts[part].sealRaffle(c, e, part.Raffle, whole)
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

func (l *loading) sealRaffle(c *resp.Commands, e readmodel.Epoch, id int64, whole bool) {
	for _, size := range slices.Sorted(maps.Keys(l.sizes)) {
		appendSizeScript(c, sealSize, e, set{id, size})
	}
	if *l.entry == "" {
		c.Add("DEL", e.Raffle(id))
	} else {
		c.Add("SET", e.Raffle(id), *l.entry)
		c.Add("SADD", e.Sizes(id), readmodel.RaffleKnown)
	}
	if !whole || *l.entry == "" {
		appendSpoil(c, e, readmodel.Part{Raffle: id})
	}
}
