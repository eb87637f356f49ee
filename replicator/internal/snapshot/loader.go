package snapshot

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
	"github.com/stock-pyramid/stock-pyramid/sql/replicationdb"
)

// The limits of one write of a rebuild or a reload, so that readers wait for 5 ms at most on a machine half as fast.
// The unit of work is a member that RESTORE inserts, which takes up to half a microsecond. A member that another
// command adds takes several times as long.
const (
	chunkWork  = 5_000
	addWork    = 4 // of a member that is added, or of another command
	chunkBytes = 1 << 19
	chunks     = 6
)

// Chunk is what one MULTI of a rebuild or a reload writes.
type Chunk struct {
	Commands resp.Commands
	rows     int // of the tables
	work     int
}

// CopyName is the application_name of the connections that copy for a pipeline.
func CopyName(p wal.Pipeline) string { return p.Application("replicator-copy") }

// Loader reads a snapshot over several connections and hands the read model over in chunks.
type Loader struct {
	Full     chan *Chunk         // closed at the end, successful or not
	Poisoned []projection.Poison // the rows that were left out; complete when Full is closed

	pipeline wal.Pipeline
	server   wal.Server
	snapshot string
	epoch    readmodel.Epoch
	free     chan *Chunk
	jobs     chan job
	known    map[int64]struct{} // the raffles that exist; in a rebuild only their sets get sentinels
	plain    bool               // ZADD instead of RESTORE
	replace  bool               // the keys may exist and are replaced
	mark     []byte             // the sentinel of each key: readmodel.Sentinel, in a reload readmodel.Loading

	mu sync.Mutex // of Poisoned
}

// job is a part of the snapshot that one connection reads.
type job func(context.Context, *reading) error

// reading is a connection that reads the snapshot.
type reading struct {
	*Loader
	tx    pgx.Tx
	chunk *Chunk
	sized []int16 // sizes with bids of the raffle that was read last
}

func newLoader(p wal.Pipeline, server wal.Server, e readmodel.Epoch, plain bool) *Loader {
	l := &Loader{pipeline: p, server: server, epoch: e, plain: plain, jobs: make(chan job), known: make(map[int64]struct{}),
		Full: make(chan *Chunk, chunks), free: make(chan *Chunk, chunks), mark: []byte(readmodel.Sentinel)}
	for range chunks {
		l.free <- &Chunk{}
	}
	return l
}

// rangesOfRaffles is the number of ranges into which the bids are cut. There are enough for the connections to end at
// about the same time, and for each range to be sorted in memory.
const rangesOfRaffles = 256

// load reads the whole snapshot and closes Full at the end. Raffles come before the bids, so that no bid is written
// before its raffle. Each sentinel comes before the rest of what it stands for.
func (l *Loader) load(ctx context.Context) error {
	defer close(l.Full)
	var bounds []int64
	var sizes []int16
	err := l.read(ctx, func(ctx context.Context, r *reading) (err error) {
		if err = r.ensureChunk(ctx, 3*addWork); err != nil {
			return err
		}
		projection.AppendLists(&r.chunk.Commands, r.epoch)
		if err = r.entries(ctx, tables.Products); err != nil {
			return err
		}
		if err = r.entries(ctx, tables.Raffles); err != nil {
			return err
		}
		if bounds, err = r.bounds(ctx); err != nil {
			return err
		}
		sizes, err = r.sizes(ctx)
		return err
	})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.dispatch(ctx, bounds, sizes) })
	for range max(2, runtime.GOMAXPROCS(0)) {
		g.Go(func() error { return l.read(ctx, l.work) })
	}
	return g.Wait()
}

// dispatch hands out the jobs: the bids of each range of raffles, then the newest bids of each size.
func (l *Loader) dispatch(ctx context.Context, bounds []int64, sizes []int16) error {
	defer close(l.jobs)
	give := func(j job) error {
		select {
		case l.jobs <- j:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for i := 1; i < len(bounds); i++ {
		if err := give(func(ctx context.Context, r *reading) error { return r.books(ctx, bounds[i-1], bounds[i]) }); err != nil {
			return err
		}
	}
	for _, size := range sizes {
		if err := give(func(ctx context.Context, r *reading) error { return r.sizeNewest(ctx, size) }); err != nil {
			return err
		}
	}
	return nil
}

func (l *Loader) work(ctx context.Context, r *reading) error {
	for j := range l.jobs {
		if err := j(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// read opens a connection that sees the snapshot and runs do on it.
func (l *Loader) read(ctx context.Context, do job) (err error) {
	conn, err := l.server.Open(ctx, map[string]string{"application_name": CopyName(l.pipeline)})
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, wal.Close(conn)) }()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if err := wal.ImportSnapshot(ctx, tx, l.snapshot); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, sortInMemory); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	r := &reading{Loader: l, tx: tx}
	if err := do(ctx, r); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if err := r.hand(ctx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// ensureChunk makes sure that the chunk has space for so much work, and counts the work.
func (r *reading) ensureChunk(ctx context.Context, work int) error {
	if r.chunk != nil && (r.chunk.work+work > chunkWork || len(r.chunk.Commands.Wire) >= chunkBytes) {
		if err := r.hand(ctx); err != nil {
			return err
		}
	}
	if r.chunk == nil {
		select {
		case r.chunk = <-r.free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	r.chunk.work += work
	return nil
}

func (r *reading) hand(ctx context.Context) error {
	if r.chunk == nil {
		return nil
	}
	p := r.chunk
	r.chunk = nil
	select {
	case r.Full <- p:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Release makes a written chunk available again.
func (l *Loader) Release(p *Chunk) {
	p.Commands.Reset()
	p.rows, p.work = 0, 0
	l.free <- p
}

// entries loads a small table through a projector.
func (r *reading) entries(ctx context.Context, t tables.Table) error {
	p, b := projection.ForSnapshot(r.epoch)
	return tables.Copy(ctx, r.tx.Conn(), t, "", func(plan tables.Plan, row *wal.Row) error {
		b.Reset()
		if err := p.Change(b, plan, nil, row); err != nil {
			return err
		}
		if err := r.ensureChunk(ctx, addWork*b.Commands()); err != nil {
			return err
		}
		r.leaveOut(b.Spoiled...)
		b.Spoiled = b.Spoiled[:0]
		for _, e := range b.Entered {
			r.known[e.Raffle] = struct{}{}
		}
		r.chunk.rows++
		b.Append(&r.chunk.Commands)
		return nil
	})
}

// leaveOut notes rows that have no packing.
func (l *Loader) leaveOut(all ...projection.Poison) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Poisoned = append(l.Poisoned, all...)
}

// eachBid reads bids. It leaves out bids that have no packing.
func (r *reading) eachBid(ctx context.Context, clauses string, each func(readmodel.Bid) error) error {
	return tables.Copy(ctx, r.tx.Conn(), tables.Bids, clauses, func(p tables.Plan, row *wal.Row) error {
		i := projection.ImageOf(row, p.Bid)
		if i.Poison != nil {
			r.leaveOut(projection.Poisons(tables.Bids, tables.PartsOfBid(i.V), i.V.RaffleID, i.Poison)...)
		}
		if i.There {
			return each(i.V)
		}
		return i.Err
	})
}

// bounds returns ids of raffles that cut the bids into ranges, each from one id up to the next.
func (r *reading) bounds(ctx context.Context) ([]int64, error) {
	bounds, err := replicationdb.New(r.tx).RaffleBounds(ctx, rangesOfRaffles)
	if err != nil {
		return nil, err
	}
	// Bids have no foreign key, so a raffle that does not exist may be below, between or above the ids.
	const all = 1<<63 - 1
	return append(append([]int64{0}, bounds...), all), nil
}

// sizes returns the sizes that have bids.
func (r *reading) sizes(ctx context.Context) ([]int16, error) {
	return replicationdb.New(r.tx).SizesWithBids(ctx)
}
