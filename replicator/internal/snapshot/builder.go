package snapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
	"github.com/stock-pyramid/stock-pyramid/sql/replicationdb"
)

// Builder is one rebuild. It fills an epoch that nobody reads yet from the snapshot of a new slot. All its writes are
// guarded by the mark, readmodel.RebuildKey, so that a successor fences it off by taking over the mark.
//
// The owner calls Begin, CreateSlot, Load, KeptSlot and Finish in this order, and Close in any case.
type Builder struct {
	Pipeline  wal.Pipeline
	Redis     *redis.Client
	Node      wal.Node
	Published wal.Published // at the beginning; it must not change
	Token     string
	Plain     bool // sets are written by ZADD, because Redis does not take RESTORE
	Board     *status.Board
	Repairs   *status.Repairs
	Log       *slog.Logger

	Epoch   readmodel.Epoch // CreateSlot may raise it
	Control *pgx.Conn       // open since Begin
	Beat    heartbeat.Beat  // the last heartbeat in the snapshot; set by Load

	writer   *sink.Writer
	n        int
	poisoned []projection.Poison
}

// Close closes what is open. After Finish the writer belongs to the caller of Finish.
func (b *Builder) Close() error {
	var err error
	if b.writer != nil {
		err = b.writer.Close()
	}
	if b.Control != nil {
		err = errors.Join(err, wal.Close(b.Control))
	}
	return err
}

// Begin takes over the mark, whose value must still be the given one, and removes the keys of all epochs except those
// in keep. These are the remains of interrupted rebuilds. Some may have the number of the new epoch, if a clock was set
// back.
func (b *Builder) Begin(ctx context.Context, mark string, keep sink.Epochs) (err error) {
	if b.writer, err = sink.Watch(ctx, b.Redis, readmodel.RebuildKey, mark); err != nil {
		return err
	}
	if err := b.write(func(*resp.Commands) {}); err != nil {
		return err
	}
	if _, err := sink.Sweep(ctx, b.Redis, readmodel.RebuildKey, b.Token, keep, 0); err != nil {
		return err
	}
	b.Control, err = b.Node.Open(ctx, map[string]string{"application_name": "replicator-rebuild"})
	return err
}

// write writes commands and a new value of the mark.
func (b *Builder) write(commands func(*resp.Commands)) error {
	b.n++
	return b.writer.Write(mark(b.Epoch, b.Token, b.n), commands)
}

// Load copies the snapshot and returns the number of its rows. Several connections read it into chunks, and one
// goroutine writes the chunks. at is the position of the snapshot.
func (b *Builder) Load(ctx context.Context, snapshot string, at lsn.LSN) (int64, error) {
	p, err := b.progress(ctx)
	if err != nil {
		return 0, err
	}
	l := newLoader(b.Pipeline, b.Node.Server, b.Epoch, b.Plain)
	l.snapshot = snapshot
	g, loading := errgroup.WithContext(ctx)
	g.Go(func() error { return l.load(loading) })
	g.Go(func() error {
		for chunk := range l.Full {
			if err := b.write(func(c *resp.Commands) { c.AddAll(&chunk.Commands) }); err != nil {
				return err
			}
			p.add(chunk.rows, time.Now())
			l.Release(chunk)
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return p.done, err
	}
	if err := l.read(ctx, func(ctx context.Context, r *reading) error { return b.seen(ctx, r.tx) }); err != nil {
		return p.done, err
	}
	b.poisoned = l.Poisoned
	return p.done, b.write(func(c *resp.Commands) { b.seal(c, at) })
}

// seen checks, at the end of the copy, that no table was truncated meanwhile and that the publication in the snapshot
// is the expected one. It notes the last heartbeat in the snapshot.
func (b *Builder) seen(ctx context.Context, q wal.Querier) error {
	if err := notTruncated(ctx, q); err != nil {
		return err
	}
	published, err := wal.ReadPublished(ctx, q)
	if err != nil {
		return err
	}
	if published.Fingerprint != b.Published.Fingerprint {
		return wal.ErrPublicationChanged
	}
	last, err := replicationdb.New(q).LastHeartbeat(ctx)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("last heartbeat: %w", err)
	}
	b.Beat = heartbeat.Beat(last)
	return nil
}

// seal ends the copy of a snapshot. Parts that lack a row without a packing lose their sentinels.
func (b *Builder) seal(c *resp.Commands, at lsn.LSN) {
	c.Add("SET", b.Epoch.RafflesVersion(), strconv.FormatUint(uint64(at), 10))
	for _, p := range b.poisoned {
		if p.Part != nil {
			projection.AppendSpoil(c, b.Epoch, *p.Part)
		}
		b.Repairs.Poisoned(p.Name, p.Table, p.Row, p.Err)
	}
}

// Finish switches the checkpoint to the new epoch and removes the mark. It fails if the checkpoint is not the stored
// one or the mark is not what was written last, because then something was lost or another writer was here. evictions
// is the count of evicted keys with which the new epoch begins. The returned writer guards the new checkpoint.
func (b *Builder) Finish(stored string, cp readmodel.Checkpoint, evictions string) (*sink.Writer, error) {
	// The WATCH on the mark, armed by its last write, stays armed beside the WATCH on the checkpoint.
	w, err := b.writer.Guard(readmodel.CheckpointKey, stored)
	if err != nil {
		return nil, err
	}
	err = w.Write(cp.String(), func(c *resp.Commands) {
		c.Add("DEL", readmodel.RebuildKey, readmodel.ReloadKey, readmodel.ReloadedKey, readmodel.PoisonedKey)
		for _, p := range b.poisoned {
			c.Add("SADD", readmodel.PoisonedKey, p.Name)
		}
		c.Add("SET", readmodel.EvictionsKey, evictions)
	})
	if err != nil {
		return nil, err
	}
	b.writer = nil // its connection is that of w
	return w, nil
}

// progress reports how far a rebuild has come.
type progress struct {
	*Builder
	begun, told    time.Time
	done, expected int64
}

func (b *Builder) progress(ctx context.Context) (*progress, error) {
	rows, err := tables.Expected(ctx, b.Control)
	if err != nil {
		return nil, err
	}
	p := &progress{Builder: b, begun: time.Now(), told: time.Now(), expected: rows[tables.Bids] + rows[tables.Raffles] + rows[tables.Products]}
	b.Board.Metrics.Expected.Set(float64(p.expected))
	b.Board.Metrics.RebuildRows.Set(0)
	return p, nil
}

func (p *progress) add(n int, now time.Time) {
	p.done += int64(n)
	p.Board.Metrics.RebuildRows.Set(float64(p.done))
	rate := int64(float64(p.done) / max(now.Sub(p.begun).Seconds(), 0.001))
	eta := max(p.expected-p.done, 0) / max(rate, 1)
	p.Board.Update(func(all *status.Status) {
		if s := all.Rebuild; s != nil {
			s.Rows, s.Expected, s.PerSec, s.ETA = p.done, p.expected, rate, eta
		}
	})
	if now.Sub(p.told) >= 5*time.Second {
		p.told = now
		p.Log.Info("rebuilding", "rows", p.done, "expected", p.expected, "rows_per_second", rate, "eta_seconds", eta)
	}
}
