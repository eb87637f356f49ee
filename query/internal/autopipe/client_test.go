package autopipe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const patience = 10 * time.Second

// start makes a client of a real Redis behind a real proxy. Its snapshot is the pair of versions.
func start(t testing.TB, change func(*Options)) (*Client[string], *testenv.Redis, *testenv.Proxy) {
	t.Helper()
	redis := testenv.StartRedis(t)
	proxy := testenv.StartProxy(t, redis.Addr())
	o := Options{
		Server:     resp.Options{Network: "tcp", Addr: proxy.Addr(), DialTimeout: 500 * time.Millisecond},
		VersionKey: "version", Budget: patience, HeldUp: patience, MaxLight: 1000,
		Light: Limits{Connections: 2, Pipeline: 400, Waiting: 50_000}, Heavy: Limits{Connections: 1, Pipeline: 2000, Waiting: 5000},
	}
	if change != nil {
		change(&o)
	}
	c := New(o, func(before, after []byte) string { return string(before) + "|" + string(after) })
	t.Cleanup(c.Close)
	return c, redis, proxy
}

// echo asks for a value that only this request wants.
func echo(c *Client[string], text string) (snapshot, answer string, err error) {
	r := c.Request()
	defer r.Release()
	r.Add("ECHO", text)
	if snapshot, err = r.Do(context.Background()); err != nil {
		return snapshot, "", err
	}
	answer = string(r.Replies.Bytes())
	return snapshot, answer, r.Replies.Err()
}

func command(t testing.TB, c *Client[string], args ...string) {
	t.Helper()
	r := c.Request()
	defer r.Release()
	r.Add(args...)
	if _, err := r.Do(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Each request gets the replies to its own commands and the versions that were read around them.
func TestManyAtOnce(t *testing.T) {
	c, _, _ := start(t, nil)
	command(t, c, "SET", "version", "m")
	var wg sync.WaitGroup
	for user := range 100 {
		wg.Go(func() {
			for i := range 50 {
				text := fmt.Sprintf("%d:%d:%s", user, i, strings.Repeat("x", user*i%3000))
				if snapshot, got, err := echo(c, text); err != nil || got != text || snapshot != "m|m" {
					t.Errorf("%.20s: %.20s %s %v", text, got, snapshot, err)
				}
			}
		})
	}
	wg.Wait()
}

// R1: if the version changes among the commands, the two values differ; a version that does not exist is empty.
func TestTheVersionsShowAChange_R1(t *testing.T) {
	c, _, _ := start(t, nil)
	r := c.Request()
	defer r.Release()
	r.Add("SET", "version", "new")
	if snapshot, err := r.Do(context.Background()); err != nil || snapshot != "|new" {
		t.Errorf("%q, %v", snapshot, err)
	}
	r.Reset()
	if snapshot, err := r.Do(context.Background()); err != nil || snapshot != "new|new" {
		t.Errorf("a request without commands: %q, %v", snapshot, err)
	}
}

// An error that Redis answers is of one command only.
func TestAnErrorReplyStaysWithItsCommand(t *testing.T) {
	c, _, _ := start(t, nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			r := c.Request()
			defer r.Release()
			r.Add("NOSUCH")
			r.Add("ECHO", "x")
			if _, err := r.Do(context.Background()); err != nil {
				t.Error(err)
			}
			var refused resp.Error
			if r.Replies.Bytes(); !errors.As(r.Replies.Err(), &refused) {
				t.Errorf("%v", r.Replies.Err())
			}
		})
		wg.Go(func() {
			if _, got, err := echo(c, "x"); got != "x" || err != nil {
				t.Errorf("beside an error: %q, %v", got, err)
			}
		})
	}
	wg.Wait()
}

// R6: if a connection stalls, is cut or is refused, its requests fail within the budget, and later requests succeed.
func TestBrokenConnections_R6(t *testing.T) {
	c, redis, proxy := start(t, func(o *Options) { o.Budget = 100 * time.Millisecond })
	for name, f := range map[string]struct{ breaks, ends func() }{
		"stalls":       {func() { redis.Pause(t) }, func() { redis.Resume(t) }},
		"is cut":       {func() { proxy.Refuse(t, true); proxy.Cut() }, func() { proxy.Refuse(t, false) }},
		"is slow":      {func() { proxy.SetDelay(time.Second, 0) }, func() { proxy.SetDelay(0, 0) }},
		"is killed":    {func() { redis.Kill(t) }, func() { redis.Start(t) }},
		"ends answers": {func() { proxy.CutBeforeAnswer([]byte("needle"), 1000) }, func() { proxy.CutBeforeAnswer(nil, 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			testenv.EventuallyNoError(t, patience, "well before", func() error { _, _, err := echo(c, "x"); return err })
			f.breaks()
			var failed atomic.Int32
			var wg sync.WaitGroup
			for range 60 {
				wg.Go(func() {
					begin := time.Now()
					if _, _, err := echo(c, "needle"); err != nil {
						failed.Add(1)
					}
					if took := time.Since(begin); took > 100*time.Millisecond+300*time.Millisecond {
						t.Errorf("R6: took %v", took)
					}
				})
			}
			wg.Wait()
			if failed.Load() != 60 {
				t.Errorf("%d of 60 failed", failed.Load())
			}
			f.ends()
			testenv.EventuallyNoError(t, patience, "well again", func() error { _, _, err := echo(c, "x"); return err })
		})
	}
}

// A connection that was closed while it was idle fails no request.
func TestIdleConnectionIsMadeAnew(t *testing.T) {
	c, _, proxy := start(t, func(o *Options) { o.Light.Connections = 1 })
	for range 5 {
		if _, _, err := echo(c, "x"); err != nil {
			t.Fatal(err)
		}
		proxy.Cut()
	}
}

func TestCloseEndsWhatWaits(t *testing.T) {
	c, redis, _ := start(t, func(o *Options) { o.Budget = 100 * time.Millisecond })
	redis.Pause(t)
	failed := make(chan error)
	go func() { _, _, err := echo(c, "x"); failed <- err }()
	c.Close()
	if err := <-failed; err == nil {
		t.Error("no error")
	}
	if _, _, err := echo(c, "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	redis.Resume(t)
}

// A password and a database are asked for before anything else; a wrong password is an error.
func TestGreeting(t *testing.T) {
	c, _, _ := start(t, nil)
	command(t, c, "CONFIG", "SET", "requirepass", "secret")
	for _, one := range []struct {
		password string
		good     bool
	}{{"secret", true}, {"wrong", false}} {
		o := c.o
		o.Server.Password, o.Server.DB = one.password, 3
		other := New(o, func(_, _ []byte) string { return "" })
		if _, got, err := echo(other, "x"); (err == nil) != one.good || one.good && got != "x" {
			t.Errorf("password %q: %q, %v", one.password, got, err)
		}
		other.Close()
	}
}

// Every request is told once with the pipeline that answered it, also if it shared a twin's commands.
func TestSentIsToldOfEveryRequest(t *testing.T) {
	var mu sync.Mutex
	var requests, weights int
	c, _, _ := start(t, func(o *Options) {
		o.Light.Sent = func(n, weight int) {
			mu.Lock()
			defer mu.Unlock()
			requests, weights = requests+n, weights+weight
		}
	})
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			r := c.Request()
			defer r.Release()
			r.Add("ECHO", "x")
			r.Share()
			if _, err := r.Do(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if requests != 40 || weights < 40*twinWeight {
		t.Errorf("told of %d requests of weight %d", requests, weights)
	}
}
