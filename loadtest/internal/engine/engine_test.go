package engine

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func get(addr string) Scenario {
	return func(u *User) error {
		u.Request.SetRequestURI("http://" + addr + "/")
		_ = u.Do("get", nil) // recorded as a failure
		return nil
	}
}

func TestClosedModelDoesEveryIterationOnce(t *testing.T) {
	var served atomic.Int64
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if served.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	r, err := Run(context.Background(), Config{Addr: addr, VUsers: 7, Iterations: 30, Seed: 1}, get(addr))
	if err != nil {
		t.Fatal(err)
	}
	s := r.Step("get")
	if served.Load() != 210 || s.OK != 189 || s.Failed != 21 || s.Failures["status 503"].Count != 21 {
		t.Errorf("%d served, recorded %d good and %d bad: %v", served.Load(), s.OK, s.Failed, s.Failures)
	}
	if s.Total.TotalCount() != s.OK || s.Percentile(50) <= 0 || r.GeneratorCPU <= 0 {
		t.Errorf("histogram holds %d of %d, p50 %v, CPU %v", s.Total.TotalCount(), s.OK, s.Percentile(50), r.GeneratorCPU)
	}
}

// A server that stalls once for 300 ms delays every arrival in that time: the open model shows it in a
// percentile, while the time of service shows one slow request only.
func TestOpenModelCountsFromTheIntendedStart(t *testing.T) {
	var served atomic.Int64
	addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if served.Add(1) == 50 {
			timer := time.NewTimer(300 * time.Millisecond)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.Context().Done():
			}
		}
	})
	r, err := Run(context.Background(), Config{Addr: addr, VUsers: 1, Duration: time.Second, Rate: 200, Seed: 1}, get(addr))
	if err != nil {
		t.Fatal(err)
	}
	s := r.Step("get")
	if total := s.Percentile(90); total < 100*time.Millisecond {
		t.Errorf("p90 from the intended start is %v: the stall is hidden", total)
	}
	if service := time.Duration(s.Service.ValueAtPercentile(90)) * time.Microsecond; service > 100*time.Millisecond {
		t.Errorf("p90 of service is %v, though one request was slow", service)
	}
}

func TestNothingIsSentTwice(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			_, _ = c.Read(make([]byte, 4096))
			_ = c.Close() // after the request, before any answer: the outcome is unknown
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	r, err := Run(context.Background(), Config{Addr: l.Addr().String(), VUsers: 1, Iterations: 5}, get(l.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Step("get"); s.Failed != 5 || accepted.Load() != 5 {
		t.Errorf("%d failures, %d connections for 5 requests", s.Failed, accepted.Load())
	}
}

func TestArrivals(t *testing.T) {
	for _, c := range []struct {
		n    int64
		rate float64
		want time.Duration
	}{{0, 100, 0}, {1, 100, 10 * time.Millisecond}, {4000, 4000, time.Second}, {3, 0.5, 6 * time.Second}} {
		if got := arrivalOffset(c.n, c.rate); got != c.want {
			t.Errorf("arrival %d at %v/s is at %v, want %v", c.n, c.rate, got, c.want)
		}
	}
	if got := rampOffset(3, 4, time.Second); got != 750*time.Millisecond {
		t.Errorf("the last of four users starts at %v", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	_, err := Run(context.Background(), Config{Rate: -1}, nil)
	for _, want := range []string{"user", "duration", "rate"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not mention %s", err, want)
		}
	}
}

func TestScenarioErrorsAreReturned(t *testing.T) {
	bad := errors.New("no token")
	_, err := Run(context.Background(), Config{Addr: "127.0.0.1:1", VUsers: 2, Iterations: 1}, func(*User) error { return bad })
	if !errors.Is(err, bad) {
		t.Errorf("error %v, want %v", err, bad)
	}
}

func TestParseStatSurvivesAnyCommandName(t *testing.T) {
	got, err := parseStat("12 (a ) b) S 7 1 1 0 -1 0 0 0 0 0 10 20 30 40 20 0 1 0 100")
	if err != nil || got.parent != 7 || got.cpu != time.Second {
		t.Errorf("%+v, %v", got, err)
	}
}
