// Package primary knows the primary: which node it is, how far it has got, which history of timelines led to
// it and which heartbeats it has. What other nodes show is judged by that.
package primary

import (
	"context"
	"errors"
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
	// Connected says that the primary has answered the last question. The other fields are what it said last.
	Connected bool
	// Generation counts the runs of servers that were the primary; it is 0 if none was ever seen. A server that was
	// started again may have another history, and so may another server. A run that has lost heartbeats or LSNs
	// counts anew.
	Generation uint64
	SystemID   uint64
	History    lsn.History
	Flushed    lsn.LSN // on the present timeline
	Host       string
	Port       uint16

	started int64     // when this run began, in microseconds by the server's clock
	mark    int64     // number of the newest heartbeat that the server had when it was first seen in this run
	proven  Commit    // the last commit that the server was asked for and has
	denied  Commit    // the last commit that the primary could not show
	asked   time.Time // when the last question that was answered began
	link    *link     // of the connection
	turned  time.Time // when the primary was lost or found last
}

// Commit names a transaction by where its commit record begins and the time in that record, in microseconds. The
// zero Commit is none.
type Commit struct {
	Begins lsn.LSN
	At     int64
}

// At is how far the primary had got; the timeline is 0 if that was never known.
func (s *State) At() lsn.Position {
	return lsn.Position{Timeline: s.History.Present(), LSN: s.Flushed}
}

// AskedSince says whether the state is the answer to a question that was asked at a time or later. Flushed then
// covers everything that was flushed at that time.
func (s *State) AskedSince(t time.Time) bool { return !s.asked.Before(t) }

// turnTime is how long after the loss of the primary, and after it was found again, its paths may fail. pgpool-II and the
// pools follow a new primary within this time. A longer outage is no change, so that reads do not queue up.
const turnTime = 5 * time.Second

// Changing says whether the primary was lost or found a moment ago, or is lost and that was not noticed yet.
func (w *Watch) Changing() bool {
	s := w.State()
	return s.Connected && s.link.severed() || !s.turned.IsZero() && time.Since(s.turned) < turnTime
}

// Watch keeps the state. It is made by NewWatch and works while Run does. The zero Watch knows nothing.
type Watch struct {
	hosts   []host // that may be primaries
	others  []host // that are asked for the history while no primary was ever seen
	log     *slog.Logger
	metrics metrics

	state  atomic.Pointer[State]
	absent atomic.Bool // the last search has found that no primary answers
	wanted atomic.Pointer[Commit]
	beats  heartbeat.Tracker
	known  followers
	polls  rounds
	seeks  rounds

	mu     sync.Mutex // held while the connection or the search is used
	conn   *pgx.Conn
	search search
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
	w := &Watch{hosts: primaries, log: log, metrics: newMetrics(reg), polls: newRounds(), seeks: newRounds(), search: newSearch(primaries)}
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
	w.lose(nil)
	w.search.end()
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
		w.lose(err)
	}
	w.find(ctx)
}

// find connects to the primary among all hosts. If there is none, it notes whether it is certain that none answers.
func (w *Watch) find(ctx context.Context) {
	nodes := w.search.run(ctx)
	found, ok := best(nodes)
	for _, n := range nodes {
		if !ok || n.host != found.host {
			defer n.close()
		}
	}
	if ok {
		err := w.adopt(ctx, found)
		w.absent.Store(errors.Is(err, ErrOlderTimeline))
		if err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "primary not used", "host", found.host.String(), "error", err)
			found.close()
		}
		return
	}
	down := len(nodes) == len(w.hosts)
	absent := true
	for _, n := range nodes {
		w.log.DebugContext(ctx, "no primary", "host", n.host.String(), "error", n.err)
		down = down && n.down()
		absent = absent && (n.down() || silent(n.err))
	}
	w.absent.Store(absent)
	if down {
		w.beats.Down(time.Now())
	}
	if w.State().History.Present() == 0 {
		w.learnFromStandby(ctx, nodes)
	}
}

// seek asks the other hosts whether one of them is a newer primary, because the watched primary may not have noticed
// a promotion.
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
	ok = ok && newer.System == s.SystemID && newer.Timeline > s.History.Present()
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
	w.lose(nil)
	if err := w.adopt(ctx, newer); err != nil && ctx.Err() == nil {
		w.log.WarnContext(ctx, "newer primary not used", "host", newer.host.String(), "error", err)
		newer.close()
	}
}

// lose notes that the primary does not answer, or is no longer the primary, and closes the connection.
func (w *Watch) lose(err error) {
	s := *w.State()
	if s.Connected {
		s.turned = time.Now()
	}
	s.Connected, s.link = false, nil
	w.publish(&s)
	w.search.lost(s.Host, s.Port, err)
	node{conn: w.conn}.close()
	w.conn = nil
}

func (w *Watch) publish(s *State) {
	w.state.Store(s)
	w.metrics.show(s)
}
