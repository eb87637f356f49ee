package sqlbook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// transactions is how many transactions of lookups are under way at once on one path. Lookups that come meanwhile
// share the next one. A lookup of more than lightRows rows is heavy and shares none, because others would wait for
// its rows.
const (
	transactions = 4
	lightRows    = 200
)

// sharing gathers lookups into transactions, because the position, the server's start and the round trip cost as much as
// a lookup.
type sharing struct {
	run func(context.Context, []statement) outcome

	mu      sync.Mutex
	waiting []*lookup
	running int
}

// lookup is the statements of one caller.
type lookup struct {
	ctx        context.Context
	statements []statement
	done       chan outcome // holds one
}

// do returns the outcome of a transaction that began after the call.
func (s *sharing) do(ctx context.Context, statements []statement) outcome {
	one := &lookup{ctx, statements, make(chan outcome, 1)}
	s.mu.Lock()
	s.waiting = append(s.waiting, one)
	if s.running < transactions {
		s.running++
		go s.serve()
	}
	s.mu.Unlock()
	select {
	case o := <-one.done:
		return o
	case <-ctx.Done():
		return outcome{err: fmt.Errorf("waiting for a transaction: %w", ctx.Err())}
	}
}

func (s *sharing) serve() {
	for group := s.take(); len(group) > 0; group = s.take() {
		s.answer(group)
	}
}

// take returns the waiting lookups whose callers have not left. If there are none, running falls by one, because the
// calling goroutine ends.
func (s *sharing) take() []*lookup {
	s.mu.Lock()
	defer s.mu.Unlock()
	group := slices.DeleteFunc(s.waiting, func(one *lookup) bool { return one.ctx.Err() != nil })
	s.waiting = nil
	if len(group) == 0 {
		s.running--
	}
	return group
}

// answer runs one transaction for a group of lookups. If the server refuses a statement of one lookup, each is run
// alone, so that the others do not fail. Any other failure is the path's: the first lookup reports it, and the others
// get it marked as bidbook.ErrShared.
func (s *sharing) answer(group []*lookup) {
	ctx, cancel := whileAnyStays(group)
	defer cancel()
	var all []statement
	for _, one := range group {
		all = append(all, one.statements...)
	}
	o := s.run(ctx, all)
	if len(group) > 1 && refused(o.err) {
		for _, one := range group {
			go func() { one.done <- s.run(one.ctx, one.statements) }()
		}
		return
	}
	for i, one := range group {
		if i == 1 && o.err != nil {
			o.err = fmt.Errorf("%w: %w", bidbook.ErrShared, o.err)
		}
		one.done <- o
	}
}

// refused says whether the server has answered a statement with an error other than a time-out.
func refused(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Severity == "ERROR" && answer.Code != pg.QueryCanceled
}

// whileAnyStays is a context that ends when all callers have left.
func whileAnyStays(group []*lookup) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(group[0].ctx))
	var left atomic.Int32
	stops := make([]func() bool, len(group))
	for i, one := range group {
		stops[i] = context.AfterFunc(one.ctx, func() {
			if int(left.Add(1)) == len(group) {
				cancel()
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}
