package test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/session"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// within is the time that P9 and P13 promise.
const within = 10 * time.Second

// forked is a primary and a standby, each behind a proxy, and two replicators. One of these waits.
type forked struct {
	*system
	primary, standby *testenv.Postgres
	way              *testenv.Proxy // to the primary
	url              string         // of both servers, the primary first
	waiting          *testenv.Program
	watch            *sightings
}

func newForked(t *testing.T) *forked {
	t.Helper()
	p := &forked{primary: testenv.StartPostgres(t)}
	p.system = newSystem(t, p.primary)
	p.bids(2000)
	p.standby = p.primary.StartStandby(t)
	p.way = testenv.StartProxy(t, p.primary.Addr())
	p.url = testenv.MultiHostURL(p.way.URL(p.primary.URL("replicator")), p.standby.URL("replicator"))
	p.watch = p.sightings()
	p.replicate("PRIMARY_URL=" + p.url)
	testenv.Eventually(t, patience, "the first streams", func() bool { return p.report().State == status.Streaming })
	p.waiting = p.replicate("PRIMARY_URL=" + p.url)
	testenv.Eventually(t, patience, "the second waits", func() bool { return strings.Contains(p.waiting.Output(), "holds the lock, waiting") })
	p.bids(500)
	p.reached()
	p.standby.WaitReplay(t)
	return p
}

// promote promotes the standby and returns when it asked for that.
func (p *forked) promote() time.Time {
	p.t.Helper()
	begun := time.Now()
	p.standby.Promote(p.t)
	p.dbs = p.standby
	p.connect()
	return begun
}

// follows waits for a checkpoint on a timeline and fails if it came too late.
func (p *forked) follows(timeline uint32, since time.Time) {
	p.t.Helper()
	testenv.EventuallyNoError(p.t, patience, fmt.Sprintf("a checkpoint on timeline %d", timeline), func() error {
		c, err := p.checkpoint()
		if err == nil && c.Timeline != timeline {
			err = fmt.Errorf("it is %s", c)
		}
		return err
	})
	at := p.watch.first(timeline)
	p.t.Logf("timeline %d after %v", timeline, at.Sub(since).Round(time.Millisecond))
	if at.Sub(since) > within {
		p.t.Errorf("a checkpoint on timeline %d took %v", timeline, at.Sub(since))
	}
}

// begins returns where the second timeline begins.
func (s *system) begins() (at lsn.LSN) {
	s.t.Helper()
	testenv.EventuallyNoError(s.t, patience, "the switch point", func() error {
		var text string
		if err := s.db.QueryRow(s.ctx, "SELECT begins::text FROM timelines WHERE timeline = 2").Scan(&text); err != nil {
			return err
		}
		var err error
		at, err = lsn.Parse(text)
		return err
	})
	return at
}

// sightings are the checkpoints that were written, in order.
type sightings struct {
	mu  sync.Mutex
	all []sighting
}

type sighting struct {
	at time.Time
	readmodel.Checkpoint
}

// sightings starts to collect the checkpoints that Redis is given, from MONITOR.
func (s *system) sightings() *sightings {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.server.Addr())
	s.must(err)
	_, err = conn.Write([]byte("MONITOR\r\n"))
	s.must(err)
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 64<<20)
	if !lines.Scan() || lines.Text() != "+OK" {
		s.t.Fatalf("MONITOR: %q, %v", lines.Text(), lines.Err())
	}
	seen := &sightings{}
	var work sync.WaitGroup
	work.Go(func() {
		for lines.Scan() {
			seen.note(lines.Text())
		}
	})
	s.t.Cleanup(func() { conn.Close(); work.Wait() })
	return seen
}

// note reads a line of MONITOR: time, client, and the arguments in quotation marks.
func (s *sightings) note(line string) {
	_, value, ok := strings.Cut(line, `"`+readmodel.CheckpointKey+`" "`)
	if !ok || !strings.Contains(strings.ToUpper(line), ` "SET" "`+strings.ToUpper(readmodel.CheckpointKey)) {
		return
	}
	c, err := readmodel.ParseCheckpoint(strings.TrimSuffix(strings.TrimSpace(value), `"`))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, sighting{time.Now(), c})
}

// since returns the checkpoints that were written after a moment.
func (s *sightings) since(at time.Time) (some []sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.all {
		if c.at.After(at) {
			some = append(some, c)
		}
	}
	return some
}

func (s *sightings) first(timeline uint32) time.Time {
	for _, c := range s.since(time.Time{}) {
		if c.Timeline == timeline {
			return c.at
		}
	}
	return time.Now()
}

// right fails if a checkpoint that was written since the promotion is not of the history that the second timeline
// continues.
func (p *forked) right(since time.Time) {
	p.t.Helper()
	all, begins, newest := p.watch.since(since), p.begins(), uint32(0)
	for _, c := range all {
		if c.Timeline < newest || c.Timeline == 1 && c.LSN > begins {
			p.t.Errorf("a checkpoint of a history that was left at %s: %s", begins, c.Checkpoint)
		}
		newest = max(newest, c.Timeline)
	}
	if newest != 2 {
		p.t.Errorf("%d checkpoints, the last on timeline %d", len(all), newest)
	}
}

// P10, P13: the primary freezes and the standby is promoted. Then the old primary wakes up. Later it is started again,
// as the first in the URL, while replicators connect anew.
func TestPromotionWhileTheOldPrimaryIsFrozenAndAfter_P10_P13(t *testing.T) {
	t.Parallel()
	p := newForked(t)
	p.primary.Pause(t)
	promoted := p.promote()
	p.follows(2, promoted)
	p.bids(300)
	p.equal()

	p.primary.Resume(t)
	p.primary.Exec(t, insertBids, 100) // commits that only the old primary has
	p.bids(100)
	p.equal()
	p.primary.Stop(t)
	p.primary.Start(t)
	p.primary.Exec(t, insertBids, 100)
	for _, program := range []*testenv.Program{p.Program, p.waiting} {
		program.Kill(t)
		p.bids(50)
		program.Start(t)
		p.equal()
	}
	p.right(promoted)

	// Only the old primary is left. Nothing in Redis is touched until an operator says so.
	p.waiting.Stop(t)
	last := p.reached()
	p.standby.Stop(t)
	testenv.Eventually(t, patience, "the older timeline is refused", func() bool {
		return strings.Contains(p.report().LastError, session.ErrStalePrimary.Error())
	})
	if c, err := p.checkpoint(); err != nil || c.Timeline != 2 || c.Token != last.Token || c.LSN < last.LSN {
		t.Errorf("%v: %s after %s", err, c, last)
	}
	p.dbs = p.primary
	p.connect()
	p.expect("rebuild --accept-older-timeline", 0, "is served in place of")
	if c := p.equal(); c.Timeline != 1 {
		t.Errorf("it is %s", c)
	}
}

// P13: packets to and from the old primary are lost silently.
func TestPromotionWhileTheOldPrimaryIsCutOff_P13(t *testing.T) {
	t.Parallel()
	p := newForked(t)
	p.way.BlackHole(true)
	promoted := p.promote()
	p.follows(2, promoted)
	p.bids(300)
	p.equal()
	p.way.BlackHole(false)
	p.bids(300)
	p.equal()
	p.right(promoted)
}
