package project

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// errRebuild is what ends a session during a rebuild.
var errRebuild = errors.New("rebuild")

// rebuild fills the next epoch from a new slot's snapshot and switches the checkpoint to it. Until then
// the old epoch, if its checkpoint is valid, is served as it stands. It returns the guard of the new
// checkpoint; the old one is closed in any case.
func (r *Replicator) rebuild(ctx context.Context, c *control, stream *wal.Stream, s state, reason status.Reason, old *sink.Writer, token string) (_ *sink.Writer, cp readmodel.Checkpoint, err error) {
	begun := time.Now()
	r.metrics.Rebuilds.WithLabelValues(string(reason)).Inc()
	r.board.Update(func(s *status.Status) { s.Rebuilds++; s.Rebuild = &status.Progress{Reason: reason} })
	r.board.SetState(status.Rebuilding)
	defer r.closeQuietly(old.Close)
	// Only now: what was published while a table was left out is not in the epoch that is served, either.
	if err := s.published.Check(); err != nil {
		return nil, cp, err
	}
	b := &builder{r: r, node: c.node, token: token, published: s.published}
	defer r.closeQuietly(b.close)
	before, err := b.begin(ctx, s, old.Value() != "", reason)
	if err != nil {
		return nil, cp, err
	}
	r.epoch = b.epoch
	r.log.Warn("rebuilding the read model", "reason", reason, "epoch", b.epoch)
	snapshot, consistent, err := b.createSlot(ctx, stream)
	if err != nil {
		return nil, cp, err
	}
	rows, err := b.load(ctx, snapshot, consistent)
	if err == nil {
		err = b.slotKept(ctx)
	}
	if err != nil {
		// The slot is of no use, and this connection must be gone before it can be dropped.
		stream.Close()
		return nil, cp, errors.Join(err, r.drop(context.WithoutCancel(ctx), c.node, wal.SlotName(uint64(b.epoch))))
	}
	cp = readmodel.Checkpoint{
		SystemID: s.system.ID, Timeline: s.system.Timeline, Slot: wal.SlotName(uint64(b.epoch)), LSN: consistent,
		Epoch: b.epoch, Token: token, Publication: s.published.Fingerprint, Beat: b.beat,
		Server: s.node.Started,
	}
	f, err := b.finish(old.Value(), cp)
	if err != nil {
		return nil, cp, err
	}
	if after, err := redisinfo.Read(ctx, r.redis); err == nil {
		r.measured(before, after, rows)
	}
	r.log.Info("rebuilt the read model", "epoch", b.epoch, "rows", rows, "lsn", consistent.String(),
		"seconds", time.Since(begun).Seconds())
	return f, cp, nil
}

// closeQuietly closes a connection and only logs an error, because the other side may have ended the connection while
// it was idle, and that must not fail a finished rebuild.
func (r *Replicator) closeQuietly(close func() error) {
	if err := close(); err != nil {
		r.log.Warn("a connection of the rebuild had been ended already", "error", err)
	}
}

// builder is one rebuild: everything it writes is guarded by the mark.
type builder struct {
	r         *Replicator
	node      wal.Node
	published wal.Published
	beat      heartbeat.Beat // the last one in the snapshot
	token     string
	epoch     readmodel.Epoch
	control   *pgx.Conn
	writer    *sink.Writer
	n         int
	poisoned  []poison
}

// seal ends the copy of a snapshot: what lacks rows that have no packing loses its sentinels.
func (b *builder) seal(c *resp.Commands, at lsn.LSN) {
	c.Add("SET", b.epoch.RafflesVersion(), strconv.FormatUint(uint64(at), 10))
	for _, p := range b.poisoned {
		if p.part != nil {
			appendSpoil(c, b.epoch, *p.part)
		}
		b.r.repairs.poisonFound(p)
	}
}

func (b *builder) close() error {
	var err error
	if b.writer != nil {
		err = b.writer.Close()
	}
	if b.control != nil {
		err = errors.Join(err, wal.Close(b.control))
	}
	return err
}

// begin takes the mark and removes what interrupted rebuilds left behind, also under the number of the new
// epoch, which a clock that was set back may have given before.
func (b *builder) begin(ctx context.Context, s state, served bool, reason status.Reason) (m memoryUse, err error) {
	b.epoch = nextEpoch(s, s.mark, time.Now())
	if b.writer, err = sink.Arm(ctx, b.r.redis, readmodel.RebuildKey, s.mark); err != nil {
		return m, err
	}
	if err := b.write(nothing); err != nil {
		return m, err
	}
	keep := sink.Epochs{}
	var slot string
	if cp := s.checkpoint(); cp != nil && served {
		keep[cp.Epoch], slot = true, cp.Slot
	}
	if _, err := sink.Sweep(ctx, b.r.redis, readmodel.RebuildKey, b.token, keep, 0); err != nil {
		return m, err
	}
	if b.control, err = b.node.Open(ctx, map[string]string{"application_name": "replicator-rebuild"}); err != nil {
		return m, err
	}
	if m, err = b.r.memoryFor(ctx, b.control); err != nil {
		return m, err
	}
	if err := m.check(served, reason); err != nil {
		return m, err
	}
	_, err = b.r.dropOrphanedSlots(ctx, b.control, slot, b.epoch)
	return m, err
}

// write adds commands of the new epoch.
func (b *builder) write(commands func(*resp.Commands)) error {
	b.n++
	return b.writer.Write(mark(b.epoch, b.token, b.n), commands)
}

// load copies the snapshot: several connections read it into chunks, this one writes them.
func (b *builder) load(ctx context.Context, snapshot string, at lsn.LSN) (int64, error) {
	p, err := b.progress(ctx, b.control)
	if err != nil {
		return 0, err
	}
	l := newLoader(b.node.Server, snapshot, b.epoch)
	l.plain = b.r.plain
	g, loading := errgroup.WithContext(ctx)
	g.Go(func() error { return l.load(loading) })
	g.Go(func() error {
		for chunk := range l.full {
			err := b.write(func(c *resp.Commands) { c.N, c.Wire = c.N+chunk.commands.N, append(c.Wire, chunk.commands.Wire...) })
			if err != nil {
				return err
			}
			p.add(chunk.rows, time.Now())
			l.release(chunk)
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return p.done, err
	}
	if err := l.read(ctx, func(ctx context.Context, r *reading) error { return b.seen(ctx, r.tx) }); err != nil {
		return p.done, err
	}
	b.poisoned = l.poisoned
	return p.done, b.write(func(c *resp.Commands) { b.seal(c, at) })
}

// seen checks at the end of the copy that the snapshot was whole and of what is published, and notes its last
// heartbeat.
func (b *builder) seen(ctx context.Context, q wal.Querier) error {
	if err := notTruncated(ctx, q); err != nil {
		return err
	}
	published, err := wal.ReadPublished(ctx, q)
	if err != nil {
		return err
	}
	if published.Fingerprint != b.published.Fingerprint {
		return errPublication
	}
	err = q.QueryRow(ctx, `SELECT number, nonce, (extract(epoch FROM at) * 1000000)::bigint FROM heartbeats
		ORDER BY number DESC LIMIT 1`).Scan(&b.beat.Number, &b.beat.Nonce, &b.beat.At)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("last heartbeat: %w", err)
	}
	return nil
}

func (b *builder) progress(ctx context.Context, q wal.Querier) (*progress, error) {
	p := &progress{r: b.r, begun: time.Now(), told: time.Now()}
	err := q.QueryRow(ctx, `SELECT sum(greatest(reltuples, 0))::bigint FROM pg_class
		WHERE oid IN ('bids'::regclass, 'raffles'::regclass, 'products'::regclass)`).Scan(&p.expected)
	if err != nil {
		return nil, fmt.Errorf("expected rows: %w", err)
	}
	b.r.metrics.Expected.Set(float64(p.expected))
	b.r.metrics.RebuildRows.Set(0)
	return p, nil
}

// finish switches the checkpoint, provided that it still is what it was at the start and the mark is
// what was written last: nothing was lost in between and nobody else was here.
func (b *builder) finish(stored string, cp readmodel.Checkpoint) (*sink.Writer, error) {
	// The WATCH on the mark from its last write stays armed beside the one on the checkpoint.
	f, err := b.writer.Guard(readmodel.CheckpointKey, stored)
	if err != nil {
		return nil, err
	}
	err = f.Write(cp.String(), func(c *resp.Commands) {
		c.Add("DEL", readmodel.RebuildKey, readmodel.ReloadKey, readmodel.ReloadedKey, readmodel.PoisonedKey)
		for _, p := range b.poisoned {
			c.Add("SADD", readmodel.PoisonedKey, p.name)
		}
		c.Add("SET", readmodel.EvictionsKey, b.r.evictions)
	})
	if err != nil {
		return nil, err
	}
	b.writer = nil // its connection lives on
	return f, nil
}

// progress tells how far a rebuild has come.
type progress struct {
	r              *Replicator
	begun, told    time.Time
	done, expected int64
}

func (p *progress) add(n int, now time.Time) {
	p.done += int64(n)
	p.r.metrics.RebuildRows.Set(float64(p.done))
	rate := int64(float64(p.done) / max(now.Sub(p.begun).Seconds(), 0.001))
	eta := max(p.expected-p.done, 0) / max(rate, 1)
	p.r.board.Update(func(all *status.Status) {
		if s := all.Rebuild; s != nil {
			s.Rows, s.Expected, s.PerSec, s.ETA = p.done, p.expected, rate, eta
		}
	})
	if now.Sub(p.told) >= 5*time.Second {
		p.told = now
		p.r.log.Info("rebuilding", "rows", p.done, "expected", p.expected, "rows_per_second", rate, "eta_seconds", eta)
	}
}
