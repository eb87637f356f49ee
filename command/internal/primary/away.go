package primary

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

const (
	// RequestTime is how long a request may be at work on the primary.
	RequestTime = 3 * time.Second
	// patience is how long after the loss of the primary requests wait for a server that takes writes. A switchover
	// takes less, also on busy cores. The rest of a request's time is for its transaction. Requests that come later fail
	// at once, so that a longer outage fills no queues (W4).
	patience = RequestTime - 400*time.Millisecond
	// lookAgain is the pause before a host is asked again whether it takes writes.
	lookAgain = 30 * time.Millisecond
)

// away is the state in which no server takes writes. All requests share one search, so that the servers are not
// flooded with connections while one of them is promoted.
type away struct {
	mu   sync.Mutex
	now  *outage   // nil: a server takes writes, as far as is known
	last time.Time // when the last outage was known to last still
}

type outage struct {
	over  chan struct{} // closed after the search
	found bool          // set before over is closed
}

// wait waits until search has found a server that takes writes, and says whether it has. It waits no longer than
// patience after the outage began.
func (a *away) wait(ctx context.Context, search func(context.Context) bool) bool {
	a.mu.Lock()
	o := a.now
	a.last = time.Now()
	if o == nil {
		o = &outage{over: make(chan struct{})}
		a.now = o
		go a.run(o, search)
	}
	a.mu.Unlock()
	select {
	case <-o.over:
		return o.found
	case <-ctx.Done():
		return false
	}
}

func (a *away) run(o *outage, search func(context.Context) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	o.found = search(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = time.Now()
	if o.found && a.now == o {
		a.now = nil
	}
	close(o.over)
}

// end notes that a server takes writes.
func (a *away) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now != nil {
		a.now, a.last = nil, time.Now()
	}
}

// since says whether no server took writes at some time since t.
func (a *away) since(t time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now != nil || a.last.After(t)
}

// Away says whether no server took writes at some time since t, so that a transaction may have waited for one.
func (s *Server) Away(t time.Time) bool { return s.away.since(t) }

// search asks each host again and again until one takes writes or ctx ends. The hosts are asked independently, so that
// a frozen one does not delay the others.
func (s *Server) search(ctx context.Context) bool {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	found := make(chan struct{}, len(s.hosts))
	for _, h := range s.hosts {
		go func() {
			if s.becomesWritable(ctx, h) {
				found <- struct{}{}
			}
		}()
	}
	select {
	case <-found:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) becomesWritable(ctx context.Context, h *pgx.ConnConfig) bool {
	for {
		a := s.ask(ctx, h)
		closeConn(a.conn)
		if a.err == nil {
			return true
		}
		if sleep.For(ctx, lookAgain) != nil {
			return false
		}
	}
}
