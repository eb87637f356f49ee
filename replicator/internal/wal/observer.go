package wal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/clock"
	"github.com/stock-pyramid/stock-pyramid/sql/replicationdb"
)

// observeEvery is how often each server is asked. An answer counts for staleAfter.
const (
	observeEvery = time.Second
	staleAfter   = 5 * time.Second
)

// Pulse is the state of a primary's heartbeats.
type Pulse struct {
	Newest int64 // the number of the newest heartbeat
	// Behind is the age, by the primary's clock, of the first heartbeat that the read model lacks; 0 if it lacks none.
	Behind time.Duration
	// Reached is the number of the heartbeat that the read model held when that was asked.
	Reached int64
	// Offset is how far the primary's clock is ahead of the clock of this process, measured by a round trip.
	Offset time.Duration
	At     time.Time // when the pulse was measured
}

// Observer watches all servers of a connection string. Each has a connection of its own, so that a silent server does
// not delay the others. The observer needs neither the lock nor Redis.
type Observer struct {
	// Clock is compared with the primaries' clocks. It is set before Run.
	Clock clock.Clock

	servers []Server
	reached func() int64 // the number of the heartbeat that the read model holds

	mu   sync.Mutex
	seen map[Server]observation
}

type observation struct {
	node  Node
	pulse Pulse
	sight Sight
	at    time.Time
}

// NewObserver makes an observer; Run starts it.
func NewObserver(servers []Server, reached func() int64) *Observer {
	return &Observer{servers: servers, reached: reached, seen: make(map[Server]observation)}
}

// Run observes until the context ends.
func (o *Observer) Run(ctx context.Context) {
	var work sync.WaitGroup
	for _, s := range o.servers {
		work.Go(func() { o.observe(ctx, s) })
	}
	work.Wait()
}

// Newer returns a primary of the given system on a higher timeline than the given one, if one answered within
// staleAfter.
func (o *Observer) Newer(system uint64, timeline uint32, now time.Time) (Node, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.servers {
		if seen := o.seen[s]; now.Sub(seen.at) < staleAfter && seen.node.System == system && seen.node.Timeline > timeline {
			return seen.node, true
		}
	}
	return Node{}, false
}

// Pulse returns the pulse of the primary on the highest timeline; false if no primary has answered yet.
func (o *Observer) Pulse() (best Pulse, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var timeline uint32
	for _, s := range o.servers {
		if seen := o.seen[s]; seen.node.Timeline > timeline && !seen.pulse.At.IsZero() {
			best, ok, timeline = seen.pulse, true, seen.node.Timeline
		}
	}
	return best, ok
}

func (o *Observer) observe(ctx context.Context, s Server) {
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = Close(conn) // the process ends or the connection has failed
		}
	}()
	for ctx.Err() == nil {
		var err error
		if conn == nil {
			conn, err = s.Open(ctx, map[string]string{"application_name": "replicator-observer", "synchronous_commit": "local"})
		}
		if err == nil {
			err = o.look(ctx, s, conn)
		}
		if err != nil && ctx.Err() == nil {
			o.miss(s)
		}
		if err != nil && conn != nil {
			_ = Close(conn) // err says what is wrong
			conn = nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// miss notes that a server does not answer, so that Newer no longer returns it.
func (o *Observer) miss(s Server) {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.seen[s]
	seen.at = time.Time{}
	o.seen[s] = seen
}

// look asks a server and notes the answer.
func (o *Observer) look(ctx context.Context, s Server, conn *pgx.Conn) error {
	node, err := s.Identify(ctx, conn)
	if err != nil {
		return err
	}
	seen := observation{node: node, at: time.Now()}
	if node.primary() {
		seen.pulse, err = feel(ctx, conn, o.Clock, o.reached())
	}
	if err == nil {
		seen.sight, err = see(ctx, conn, node)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen[s] = seen
	return err
}

// feel measures the pulse. The primary's clock is read between two readings of this process's clock and compared with
// their middle.
func feel(ctx context.Context, conn *pgx.Conn, wall clock.Clock, reached int64) (p Pulse, err error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	var theirs int64
	before := time.Now()
	err = conn.QueryRow(ctx, readClock).Scan(&theirs)
	ours := wall.Now()
	p.At = time.Now()
	if err != nil {
		return Pulse{}, fmt.Errorf("primary's clock: %w", err)
	}
	p.Offset = time.UnixMicro(theirs).Sub(ours.Add(-p.At.Sub(before) / 2))
	beats, err := replicationdb.New(conn).Pulse(ctx, reached)
	if err != nil {
		return Pulse{}, fmt.Errorf("heartbeats: %w", err)
	}
	p.Reached = reached
	p.Newest, p.Behind = beats.Newest, max(time.Duration(beats.Behind)*time.Microsecond, 0)
	return p, nil
}
