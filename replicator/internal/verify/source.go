package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// source is a model of the primary that follows the stream of a temporary slot. It begins with the rows of the snapshot
// that the slot exported.
type source struct {
	*barrier
	system  wal.System
	start   wal.LSN // the snapshot's position
	rows    int64
	stop    func()
	stopped chan struct{}
}

// openSource loads the model from the snapshot and begins to follow the stream. It calls progress with the number of rows
// read so far.
func openSource(ctx context.Context, url string, m *model, limit *rate.Limiter, progress func(done, total int64)) (_ *source, err error) {
	servers, err := wal.Servers(url)
	if err != nil {
		return nil, err
	}
	node, err := wal.Find(ctx, servers, 0)
	if err != nil {
		return nil, err
	}
	session := ctx
	ctx, stop, err := node.WhileAnswers(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	stream, snapshot, err := node.Temporary(ctx)
	if err != nil {
		return nil, err
	}
	s := &source{barrier: newBarrier(m, snapshot.LSN), start: snapshot.LSN, stopped: make(chan struct{})}
	defer func() {
		if err != nil {
			stream.Close()
		}
	}()
	conn, err := node.Open(ctx, map[string]string{"application_name": "replicator-verify"})
	if err != nil {
		return nil, err
	}
	s.rows, err = load(ctx, conn, snapshot, m, limit, progress)
	if err = errors.Join(err, wal.Close(conn)); err != nil {
		return nil, err
	}
	if s.system, err = stream.Identify(ctx); err != nil {
		return nil, err
	}
	if err := stream.Start(ctx, snapshot.Slot, snapshot.LSN); err != nil {
		return nil, err
	}
	s.follow(session, stream)
	return s, nil
}

// follow receives the stream until close is called or the context ends.
func (s *source) follow(ctx context.Context, stream *wal.Stream) {
	ctx, s.stop = context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return stream.Run(s.barrier) })
	g.Go(func() error {
		defer stream.Close()
		return s.report(ctx, stream)
	})
	go func() {
		s.end(g.Wait())
		close(s.stopped)
	}()
}

// close ends the stream, and the slot with it.
func (s *source) close() {
	s.stop()
	s.end(context.Canceled)
	<-s.stopped
}

const (
	statusEvery = time.Second          // well within wal_sender_timeout
	askEvery    = 5 * time.Millisecond // while reach waits
	silentAfter = 6 * time.Second
)

// report tells the server how far the model is, so that the server can remove WAL. While reach waits, report also asks
// for the server's position, because WAL without changes of ours moves the stream only by a keepalive.
func (s *source) report(ctx context.Context, stream *wal.Stream) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	var last time.Time
	for {
		at, pending := s.waiting()
		if now := time.Now(); pending || now.Sub(last) >= statusEvery {
			last = now
			if err := stream.Status(at, pending || stream.Waiting() > statusEvery); err != nil {
				return err
			}
			// The server is asked for an answer every second, so that a silent server is noticed.
			if stream.Waiting() > silentAfter {
				return fmt.Errorf("the server has sent nothing for %s", silentAfter)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// load fills the model from the snapshot.
func load(ctx context.Context, conn *pgx.Conn, snapshot wal.Snapshot, m *model, limit *rate.Limiter, progress func(done, total int64)) (int64, error) {
	if _, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return 0, fmt.Errorf("snapshot: %w", err)
	}
	if err := wal.ImportSnapshot(ctx, conn, snapshot.Name); err != nil {
		return 0, err
	}
	l := &loader{ctx: ctx, conn: conn, model: m, limit: limit, progress: progress}
	if err := l.expect(); err != nil {
		return 0, err
	}
	if err := l.globals(); err != nil {
		return 0, err
	}
	if err := l.bids(m.where("raffle_id"), m.bid); err != nil {
		return 0, err
	}
	progress(max(l.total, 1), l.total)
	return l.done, nil
}

type loader struct {
	ctx         context.Context // of one load
	conn        *pgx.Conn
	model       *model
	limit       *rate.Limiter
	progress    func(done, total int64)
	done, total int64
}

// expect takes the planner's estimate of the number of bids. There is none for a part of the bids.
func (l *loader) expect() error {
	if !l.model.whole() {
		l.progress(0, 0)
		return nil
	}
	rows, err := tables.Expected(l.ctx, l.conn)
	if err != nil {
		return err
	}
	l.total = rows[tables.Bids]
	l.progress(0, l.total)
	return nil
}

// globals reads the raffles of the model. If the scope has globals, it also reads the products and the latest bids of
// each size, from the size's floor on.
func (l *loader) globals() error {
	clauses := l.model.where("id")
	if l.model.scope.Globals {
		clauses = ""
		if err := tables.Copy(l.ctx, l.conn, tables.Products, "", l.change); err != nil {
			return err
		}
	}
	if err := tables.Copy(l.ctx, l.conn, tables.Raffles, clauses, l.change); err != nil {
		return err
	}
	if !l.model.scope.Globals {
		return nil
	}
	if err := l.floors(); err != nil {
		return err
	}
	if l.model.whole() {
		return nil // the load of all bids brings the latest ones
	}
	for size, latest := range l.model.latest {
		after := time.UnixMicro(latest.floor).UTC().Format("2006-01-02 15:04:05.000000Z07:00")
		err := l.bids(fmt.Sprintf("WHERE size = %d AND created_at > '%s'", size, after), latest.bid)
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) change(p tables.Plan, r *wal.Row) error { return l.model.change(p, nil, r) }

// portion is how many rows are read between two checks of the rate limit.
const portion = 1000

func (l *loader) bids(clauses string, each func(b readmodel.Bid, sign int64)) error {
	return tables.Copy(l.ctx, l.conn, tables.Bids, clauses, func(p tables.Plan, r *wal.Row) error {
		b := p.Bid(r)
		if r.Err() == nil {
			each(b, 1)
		} else if err := l.model.leaveOut(r.Err(), tables.PartsOfBid(b)); err != nil {
			return err
		}
		if l.done++; l.done%portion == 0 {
			if l.total > 0 {
				l.progress(l.done, max(l.total, l.done+1))
			}
			return l.limit.WaitN(l.ctx, portion)
		}
		return nil
	})
}
