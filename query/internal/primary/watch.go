// Package primary knows the primary: which node it is, how far it has got, which history of timelines led to
// it and which heartbeats it has. What other nodes show is judged by that.
package primary

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// How often the primary is asked, and the other hosts whether one of them is a newer primary. A question on
// demand comes earlier, but not more often than leastPause.
const (
	pollEvery  = 200 * time.Millisecond
	seekEvery  = 2 * time.Second
	leastPause = 20 * time.Millisecond
	// What the primary has said is fresh as long as at most two polls are missing.
	freshFor = 3 * pollEvery
)

// State is what is known of the primary. A State is never changed.
type State struct {
	// Connected says that the primary has answered the last question; what follows is what it said last.
	Connected bool
	// Generation counts the connections: a primary that was away may have come back with another history.
	Generation uint64
	SystemID   uint64
	History    lsn.History
	Flushed    lsn.LSN // on the present timeline
	Host       string
	Port       uint16

	asked time.Time // when the last question that was answered began
}

// At is how far the primary had got; the timeline is 0 if that was never known.
func (s *State) At() lsn.Position {
	return lsn.Position{Timeline: s.History.Present(), LSN: s.Flushed}
}

// AskedSince says whether the state is the answer to a question that was asked at a time or later. What it says is
// flushed then holds everything that was flushed at that time.
func (s *State) AskedSince(t time.Time) bool { return !s.asked.Before(t) }

// Watch keeps the state. It is made by NewWatch and works while Run does. The zero Watch knows nothing.
type Watch struct {
	hosts   []host // that may be primaries
	others  []host // that are asked for the history while no primary was ever seen
	log     *slog.Logger
	metrics metrics

	state  atomic.Pointer[State]
	silent atomic.Bool // some host has not answered the last search
	beats  heartbeat.Tracker
	polls  rounds
	seeks  rounds

	mu   sync.Mutex // held while the connection is used
	conn *pgx.Conn
	link atomic.Pointer[link] // of the connection
}

// NewWatch makes a watch of the primary among the hosts of a URL. It connects to nothing yet.
func NewWatch(primaryURL, standbyURL string, log *slog.Logger, reg prometheus.Registerer) (*Watch, error) {
	primaries, err := hosts(primaryURL)
	if err != nil {
		return nil, err
	}
	standbys, err := hosts(standbyURL)
	if err != nil {
		return nil, err
	}
	w := &Watch{hosts: primaries, log: log, metrics: newMetrics(reg), polls: newRounds(), seeks: newRounds()}
	for _, s := range standbys {
		if !contains(primaries, s) {
			w.others = append(w.others, s)
		}
	}
	return w, nil
}

func contains(list []host, h host) bool {
	for _, one := range list {
		if one.String() == h.String() {
			return true
		}
	}
	return false
}

// State returns what is known now.
func (w *Watch) State() *State {
	if s := w.state.Load(); s != nil {
		return s
	}
	return &State{}
}

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	var both sync.WaitGroup
	both.Go(func() { w.polls.run(ctx, pollEvery, w.poll) })
	both.Go(func() { w.seeks.run(ctx, seekEvery, w.seek) })
	both.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop()
	return nil
}

// poll asks the primary, and looks for it if there is no connection or it does not answer.
func (w *Watch) poll(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		err := w.ask(ctx, w.conn)
		if err == nil || ctx.Err() != nil {
			return
		}
		w.log.WarnContext(ctx, "the primary does not answer", "error", err)
		w.lose()
	}
	w.find(ctx)
}

// find connects to the primary among all hosts. Without one, it says whether none runs.
func (w *Watch) find(ctx context.Context) {
	nodes := askAll(ctx, w.hosts)
	found, ok := best(nodes)
	for _, n := range nodes {
		if !ok || n.host != found.host {
			defer n.close()
		}
	}
	if ok {
		w.silent.Store(false)
		if err := w.adopt(ctx, found); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "primary not used", "host", found.host.String(), "error", err)
			found.close()
		}
		return
	}
	down := true
	for _, n := range nodes {
		w.log.DebugContext(ctx, "no primary", "host", n.host.String(), "error", n.err)
		down = down && n.down()
	}
	w.silent.Store(!down)
	if down {
		w.beats.Down(time.Now())
	}
	if w.State().History.Present() == 0 {
		w.learnFromStandby(ctx, nodes)
	}
}

// seek asks the other hosts whether one is a newer primary: the one that is watched may be an old one that
// has not noticed a promotion.
func (w *Watch) seek(ctx context.Context) {
	s := w.State()
	if !s.Connected {
		return // then poll asks all hosts
	}
	var rest []host
	for _, h := range w.hosts {
		if h.config.Host != s.Host || h.config.Port != s.Port {
			rest = append(rest, h)
		}
	}
	nodes := askAll(ctx, rest)
	newer, ok := best(nodes)
	ok = ok && newer.system == s.SystemID && newer.timeline > s.History.Present()
	for _, n := range nodes {
		if !ok || n.host != newer.host {
			n.close()
		}
	}
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop()
	if err := w.adopt(ctx, newer); err != nil && ctx.Err() == nil {
		w.log.WarnContext(ctx, "newer primary not used", "host", newer.host.String(), "error", err)
		newer.close()
	}
}

// lose notes that the primary does not answer.
func (w *Watch) lose() {
	w.drop()
	s := *w.State()
	s.Connected = false
	w.publish(&s)
}

func (w *Watch) drop() {
	node{conn: w.conn}.close()
	w.conn = nil
	w.link.Store(nil)
}

func (w *Watch) publish(s *State) {
	w.state.Store(s)
	w.metrics.show(s)
}
