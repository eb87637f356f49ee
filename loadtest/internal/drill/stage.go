package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

const (
	warmTime = 2 * time.Second // of load before the failure
	// calmTime is how long bids and reads must have gone on before the load stops, and calmGap how long they may pause.
	calmTime = 2 * time.Second
	calmGap  = 500 * time.Millisecond
	// recoverTime bounds the wait for that, and other waits for the system to come back.
	recoverTime = 60 * time.Second
	feedTime    = 20 * time.Second
)

// stage is one drill under way.
type stage struct {
	*load
	drill  Drill
	result *Result
	split  watch
}

// drill carries out one drill and judges it.
func (s *set) drill(ctx context.Context, number int, d Drill) (r Result) {
	r = Result{Name: d.Name, Started: time.Now()}
	defer func() { r.Took = time.Since(r.Started) }()
	stage, err := s.stage(ctx, number, d, &r)
	if err != nil {
		r.fault("could not begin: %v", err)
		r.broken = true
		return r
	}
	r.story = stage.story
	if r.Skipped = s.applicable(ctx, append(stage.drill.Before, stage.drill.Steps...)); r.Skipped != "" {
		return r
	}
	stage.play(ctx)
	if err := context.Cause(ctx); err != nil {
		r.fault("interrupted: %v", err)
	}
	return r
}

// stage prepares a drill: it must begin with a whole deployment.
func (s *set) stage(ctx context.Context, number int, d Drill, r *Result) (*stage, error) {
	primary, standby, err := s.ctl.Roles(ctx)
	if err != nil {
		return nil, err
	}
	named := names(primary, standby)
	for _, list := range []*[]string{&d.Before, &d.Steps, &d.Undo} {
		steps := make([]string, len(*list))
		for i, step := range *list {
			steps[i] = strings.NewReplacer("{old}", s.OldBuild, "{new}", s.NewBuild).Replace(named.Replace(step))
		}
		*list = steps
	}
	base, err := lastID(ctx, s.Database)
	if err != nil {
		return nil, err
	}
	rates := s.Rates
	if d.Rates != (Rates{}) {
		rates = d.Rates
	}
	l := &load{set: s, rates: rates, story: newStory(time.Now()), book: newBook(fmt.Sprintf("drill-%s-%d", s.id, number), base)}
	return &stage{load: l, drill: d, result: r}, nil
}

// play goes through the phases of a drill.
func (s *stage) play(ctx context.Context) {
	if err := s.whole(ctx); err != nil {
		s.result.fault("could not begin: %v", err)
		s.result.broken = true
		return
	}
	if err := s.quiet(ctx); err != nil {
		s.result.fault("before it began: %v", err)
	}
	if err := s.steps(ctx, s.drill.Before); err != nil {
		s.result.fault("%v", err)
		return
	}
	ctx, end := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer end()
	background.Go(func() { s.watchNodes(ctx) })
	if s.Prometheus != "" {
		background.Go(func() { s.watchAlerts(ctx) })
	}
	if err := s.openFeeds(ctx, &background); err != nil {
		s.result.fault("%v", err)
		return
	}
	s.underLoad(ctx)
	if rows, err := readRows(ctx, s.Database, s.book.base); err != nil {
		s.result.fault("could not compare: %v", err)
	} else {
		compare(s.book, rows) // so that no feed is asked for a bid that is lost
		s.countFeeds(ctx)
		s.count(rows)
	}
	s.recover(ctx)
	s.judgeAlerts(ctx)
}

// underLoad causes the failure while bids and reads go on, and waits until all outcomes are known.
func (s *stage) underLoad(ctx context.Context) {
	stop, quiet := context.WithCancel(ctx)
	patience, giveUp := context.WithCancel(ctx)
	defer giveUp()
	defer quiet()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		s.run(patience, stop)
	}()
	err := sleep.For(ctx, warmTime)
	s.story.countPaths(true)
	if err = errors.Join(err, s.steps(ctx, s.drill.Steps)); err != nil {
		s.result.fault("%v", err)
		if err := s.steps(context.WithoutCancel(ctx), s.drill.Undo); err != nil {
			s.result.fault("%v", err)
		}
	}
	s.story.countPaths(false)
	if err := s.calm(ctx); err != nil {
		s.result.fault("%v", err)
	}
	s.story.say("the load stops")
	quiet()
	limit := time.AfterFunc(recoverTime, giveUp)
	defer limit.Stop()
	<-loaded
	s.judgeGaps()
}

// steps carries out steps up to the first that fails.
func (s *stage) steps(ctx context.Context, list []string) error {
	for _, step := range list {
		if err := s.do(ctx, step); err != nil {
			return fmt.Errorf("step %q: %w", step, err)
		}
	}
	return nil
}

// calm waits until bids and reads have gone on for a while.
func (s *stage) calm(ctx context.Context) error {
	since := time.Now()
	for end := since.Add(recoverTime); ; {
		now := time.Now()
		if now.Sub(s.bidding.latest()) > calmGap || now.Sub(s.reading.latest()) > calmGap {
			since = now
		}
		if now.Sub(since) >= calmTime {
			return nil
		}
		if now.After(end) {
			return fmt.Errorf("bids and reads did not come back within %v", recoverTime)
		}
		if err := sleep.For(ctx, calmGap/5); err != nil {
			return err
		}
	}
}

// judgeGaps holds the longest times without bids and reads against the bounds.
func (s *stage) judgeGaps() {
	r := s.result
	var from time.Time
	for _, g := range []struct {
		of    *gap
		what  string
		into  *time.Duration
		bound time.Duration
	}{{&s.bidding, "accepted bid", &r.NoWrites, s.drill.Writes}, {&s.reading, "plain read", &r.NoReads, s.drill.Reads}} {
		*g.into, from = g.of.result()
		s.story.say("the longest time without any %s was %.2f s, from %.2f s on", g.what, g.into.Seconds(), from.Sub(s.story.start).Seconds())
		if *g.into > g.bound {
			r.fault("%.2f s without any %s, %v at most", g.into.Seconds(), g.what, g.bound)
		}
	}
	r.WritesBound, r.ReadsBound = s.drill.Writes, s.drill.Reads
	r.Paths = s.story.served()
	r.Failures = s.story.failures()
	r.LeftOut = s.leftOut.Load()
	if s.drill.Strict && r.Failures > 0 {
		r.fault("%d requests failed", r.Failures)
	}
	if s.drill.Strict && float64(r.LeftOut) > mostLeftOut*float64(s.due.Load()) {
		r.fault("%d of %d requests were left out, because as many as may be were under way", r.LeftOut, s.due.Load())
	}
	var err error
	if r.Leaders, err = s.split.most(); err != nil {
		r.fault("the nodes were not watched to the end: %v", err)
	} else if r.Leaders > 1 {
		r.fault("%d nodes took writes at once", r.Leaders)
	}
}

// openFeeds opens the feeds and waits until each has said where it begins.
func (s *stage) openFeeds(ctx context.Context, background *sync.WaitGroup) error {
	for _, raffle := range s.raffles[:min(feedCount, len(s.raffles))] {
		f := &follower{load: s.load, raffle: raffle}
		s.followers = append(s.followers, f)
		background.Go(func() { f.run(ctx) })
	}
	return await(ctx, feedTime, "the feeds to begin", func() string {
		for _, f := range s.followers {
			if !f.isStarted() {
				return fmt.Sprintf("that of raffle %d has not", f.raffle)
			}
		}
		return ""
	})
}

// countFeeds waits until the feeds have every acknowledged bid, and counts what they lack or repeat.
func (s *stage) countFeeds(ctx context.Context) {
	err := await(ctx, feedTime, "the feeds to be complete", func() string {
		for _, f := range s.followers {
			if missing, _, _ := f.state(); len(missing) > 0 {
				return fmt.Sprintf("that of raffle %d lacks bids", f.raffle)
			}
		}
		return ""
	})
	if err != nil {
		s.story.say("%v", err)
	}
	r := s.result
	for _, f := range s.followers {
		missing, repeated, resets := f.state()
		r.FeedLost, r.FeedDoubled, r.Resets = r.FeedLost+len(missing), r.FeedDoubled+len(repeated), r.Resets+resets
		if len(missing)+len(repeated) > 0 {
			s.story.say("the feed of raffle %d lacks %v and repeats %v", f.raffle, first10(missing), first10(repeated))
		}
	}
	if r.FeedLost+r.FeedDoubled > 0 {
		r.fault("the feeds lost %d events and doubled %d", r.FeedLost, r.FeedDoubled)
	}
}

func first10(ids []int64) string {
	return strings.Trim(fmt.Sprint(ids[:min(kept, len(ids))]), "[]")
}

// count compares the book with the rows of the primary.
func (s *stage) count(rows []row) {
	r := s.result
	r.Count = compare(s.book, rows)
	for _, c := range []struct {
		n    int64
		what string
	}{{r.Lost, "acknowledged bids are lost"}, {r.Doubled, "bids are doubled"}, {r.Unwanted, "bids were refused and are there"}, {r.Wrong, "reads were wrong"},
		{r.Open, "bids have no known outcome"}} {
		if c.n > 0 {
			r.fault("%d %s", c.n, c.what)
		}
	}
	if r.Acknowledged == 0 {
		r.fault("no bid was accepted")
	}
}
