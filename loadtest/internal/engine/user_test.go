package engine

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// An arrival is dropped if no user is free to start it before the end.
func TestDroppedArrivalsAreCounted(t *testing.T) {
	release := make(chan struct{})
	addr := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	time.AfterFunc(400*time.Millisecond, func() { close(release) })
	r, err := Run(context.Background(), Config{Addr: addr, VUsers: 2, Duration: 300 * time.Millisecond, Rate: 100}, get(addr))
	if err != nil {
		t.Fatal(err)
	}
	if a := *r.Arrivals; a != (report.Arrivals{Asked: 30, Started: 2, Dropped: 28}) {
		t.Errorf("%+v", a)
	}
}

// What comes due after the end of a run was not asked for, however long its last answers take. What came due before it and
// was not started is dropped.
func TestArrivalsAfterTheEndAreNotAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		load           Config
		ended, elapsed time.Duration
		begun          int64
		want           report.Arrivals
	}{
		"its own end":                   {Config{Rate: 100, Duration: time.Second}, time.Second, 4 * time.Second, 100, report.Arrivals{Asked: 100, Started: 100}},
		"its own end, all users busy":   {Config{Rate: 100, Duration: time.Second}, time.Second, 4 * time.Second, 60, report.Arrivals{Asked: 100, Started: 60, Dropped: 40}},
		"an early end":                  {Config{Rate: 100, Duration: time.Minute}, time.Second, 4 * time.Second, 100, report.Arrivals{Asked: 100, Started: 100}},
		"an early end, all users busy":  {Config{Rate: 100, Duration: time.Minute}, time.Second, 4 * time.Second, 60, report.Arrivals{Asked: 100, Started: 60, Dropped: 40}},
		"an early end of a third":       {Config{Rate: 100, Duration: time.Minute, Part: 1, Parts: 3}, time.Second, 4 * time.Second, 33, report.Arrivals{Asked: 33, Started: 33}},
		"an early end of stages":        {Config{Stages: Stages{{time.Second, 100}, {time.Minute, 100}}}, 2 * time.Second, 4 * time.Second, 150, report.Arrivals{Asked: 150, Started: 150}},
		"an early end before the first": {Config{Stages: Stages{{time.Second, 0}, {time.Minute, 100}}}, time.Second, 4 * time.Second, 0, report.Arrivals{}},
		"the last arrival":              {Config{Rate: 100, Arrivals: 10}, 0, 4 * time.Second, 10, report.Arrivals{Asked: 10, Started: 10}},
	} {
		p := newPacer(c.load, time.Now())
		p.ended.Store(int64(c.ended))
		p.begun.Store(c.begun)
		if got := *p.count(c.elapsed); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A run that is cancelled asks for nothing while it waits for its last answers.
func TestACancelledRunDropsNothing(t *testing.T) {
	release := make(chan struct{})
	addr := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(150*time.Millisecond, cancel)
	time.AfterFunc(600*time.Millisecond, func() { close(release) })
	r, err := Run(ctx, Config{Addr: addr, VUsers: 50, Duration: time.Minute, Rate: 50}, get(addr))
	if err != nil {
		t.Fatal(err)
	}
	if a := *r.Arrivals; a.Started == 0 || a.Started != a.Asked || a.Dropped != 0 || r.Samples[0].Asked != a.Asked {
		t.Errorf("%+v, of which the first second asked for %d", a, r.Samples[0].Asked)
	}
}

// The users' iterations bound the arrivals, too.
func TestArrivalsAreNotMoreThanTheIterations(t *testing.T) {
	addr := serve(t, func(http.ResponseWriter, *http.Request) {})
	r, err := Run(context.Background(), Config{Addr: addr, VUsers: 4, Iterations: 5, Rate: 2000}, get(addr))
	if err != nil || *r.Arrivals != (report.Arrivals{Asked: 20, Started: 20}) {
		t.Errorf("%+v, %v", r.Arrivals, err)
	}
}

// A closed model counts the users that began before the end.
func TestUsersThatNeverBeginAreCounted(t *testing.T) {
	addr := serve(t, func(http.ResponseWriter, *http.Request) {})
	r, err := Run(context.Background(), Config{Addr: addr, VUsers: 10, Duration: 250 * time.Millisecond, RampUp: time.Second}, get(addr))
	if err != nil || r.Users.Asked != 10 || r.Users.Started > 5 || r.Arrivals != nil {
		t.Errorf("%+v, %v", r.Users, err)
	}
}

// A wish that is granted at the third attempt took as long as all three, and counts once.
func TestAWishCountsFromItsStartToItsEnd(t *testing.T) {
	var served atomic.Int64
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if served.Add(1)%3 != 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	const pause = 20 * time.Millisecond
	r, err := Run(context.Background(), Config{Addr: addr, VUsers: 1, Iterations: 2}, func(u *User) error {
		u.Request.SetRequestURI("http://" + addr + "/")
		w := u.Wish("thing")
		for range 3 {
			_ = w.Attempt(nil) // recorded as a failure
			u.Pause(pause)
		}
		if u.Iteration > 0 {
			w.Failed("given up", func() string { return "no more" })
		} else {
			w.Granted()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wish, attempts := r.Step("thing"), r.Step("thing, attempts")
	if wish.OK != 1 || wish.Failed != 1 || wish.Part || attempts.OK != 2 || attempts.Failed != 4 || !attempts.Part || r.All().Count() != 2 {
		t.Errorf("%+v, %+v", wish, attempts)
	}
	for _, took := range []time.Duration{wish.Total.At(0), wish.Service.At(0), wish.Failures.At(0)} {
		if took < 3*pause*99/100 {
			t.Errorf("a wish took %v", took)
		}
	}
}

// Each user has a connection of its own, unless they share.
func TestUsersOwnTheirConnections(t *testing.T) {
	for share, want := range map[bool]int64{false: 8, true: 1} {
		var opened atomic.Int64
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
		s.Start()
		t.Cleanup(s.Close)
		addr := s.Listener.Addr().String()
		var turn sync.Mutex // one at a time, so that a shared connection is always free
		r, err := Run(context.Background(), Config{Addr: addr, VUsers: 8, Iterations: 1, ShareConnections: share}, func(u *User) error {
			turn.Lock()
			defer turn.Unlock()
			return get(addr)(u)
		})
		if err != nil || opened.Load() != want || r.Step("get").OK != 8 {
			t.Errorf("shared %v: %d connections, %v", share, opened.Load(), err)
		}
		if connects := r.Step(StepConnect); !share && (connects.OK != 8 || !connects.Part) {
			t.Errorf("%+v", connects)
		}
	}
}
