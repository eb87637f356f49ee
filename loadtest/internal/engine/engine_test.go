package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
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
	if served.Load() != 210 || s.OK != 189 || s.Failed != 21 || len(r.Errors) != 1 || r.Errors[0].Kind != "status 503" || r.Errors[0].Count != 21 {
		t.Errorf("%d served, recorded %d good and %d bad: %v", served.Load(), s.OK, s.Failed, r.Errors)
	}
	if s.Total.Count() != s.OK || s.Total.At(50) <= 0 || r.Generator.CPU <= 0 {
		t.Errorf("histogram holds %d of %d, p50 %v, CPU %v", s.Total.Count(), s.OK, s.Total.At(50), r.Generator.CPU)
	}
}

// A server that stalls once for 300 ms delays every arrival in that time. The open model shows the stall in a
// percentile, but the time of service shows only one slow request. A rate that changes makes no difference.
func TestOpenModelCountsFromTheIntendedStart(t *testing.T) {
	for name, c := range map[string]Config{
		"rate":   {VUsers: 1, Duration: time.Second, Rate: 200, Seed: 1},
		"stages": {VUsers: 1, Stages: Stages{{0, 150}, {time.Second, 250}}, Seed: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			countsFromTheIntendedStart(t, c)
		})
	}
}

func countsFromTheIntendedStart(t *testing.T, c Config) {
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
	c.Addr = addr
	r, err := Run(context.Background(), c, get(addr))
	if err != nil {
		t.Fatal(err)
	}
	s := r.Step("get")
	if total := s.Total.At(90); total < 100*time.Millisecond {
		t.Errorf("p90 from the intended start is %v: the stall is hidden", total)
	}
	if service := s.Service.At(90); service > 100*time.Millisecond {
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

// The number of arrivals holds, however late they are.
func TestOpenModelEndsWithItsArrivals(t *testing.T) {
	addr := serve(t, func(http.ResponseWriter, *http.Request) {})
	r, err := Run(context.Background(), Config{Addr: addr, VUsers: 4, Rate: 5000, Arrivals: 123}, get(addr))
	if err != nil || r.Step("get").OK != 123 {
		t.Errorf("%v, %+v", err, r.Step("get"))
	}
}

func TestArrivals(t *testing.T) {
	for _, c := range []struct {
		n    int64
		rate float64
		want time.Duration
	}{{0, 100, 0}, {1, 100, 10 * time.Millisecond}, {4000, 4000, time.Second}, {3, 0.5, 6 * time.Second}} {
		if got := constant(c.rate).offset(float64(c.n)); got != c.want {
			t.Errorf("arrival %d at %v/s is at %v, want %v", c.n, c.rate, got, c.want)
		}
	}
	if got := rampOffset(3, 4, time.Second); got != 750*time.Millisecond {
		t.Errorf("the last of four users starts at %v", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	_, err := Run(context.Background(), Config{Rate: -1, Arrivals: 1}, nil)
	if _, both := Run(context.Background(), Config{VUsers: 1, Rate: 1, Stages: Stages{{time.Second, 1}}}, nil); both == nil || !strings.Contains(both.Error(), "stages exclude") {
		t.Errorf("a rate and stages: %v", both)
	}
	for _, want := range []string{"user", "needs a rate", "negative"} {
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

func TestSecondsAddUpToTheWhole(t *testing.T) {
	addr := serve(t, func(http.ResponseWriter, *http.Request) {})
	var told []report.Progress
	c := Config{Addr: addr, VUsers: 3, Duration: 2200 * time.Millisecond, Rate: 100, Progress: func(p report.Progress) { told = append(told, p) },
		Lag: func(context.Context) (float64, error) { return 7, nil }}
	r, err := Run(context.Background(), c, get(addr))
	if err != nil {
		t.Fatal(err)
	}
	var inSeconds int64
	for i, s := range r.Step("get").Seconds {
		inSeconds += s.OK
		if s.At != i || s.Total.Count() != s.OK {
			t.Errorf("second %d is said to be %d; %d values of %d", i, s.At, s.Total.Count(), s.OK)
		}
	}
	if b := r.Samples[len(r.Samples)-1].Busy; b == nil || *b < 0 || *b > 1 {
		t.Errorf("the machine was busy for %v of its time", b)
	}
	last := told[len(told)-1]
	if inSeconds != r.Step("get").OK || last.Done != inSeconds || last.Limit != c.Duration || len(r.Samples) != len(told) {
		t.Errorf("%d in seconds, %d in progress, %d in all; %d samples", inSeconds, last.Done, r.Step("get").OK, len(r.Samples))
	}
	if s := r.Samples[1]; s.ActiveUsers != 3 || s.LagMS == nil || *s.LagMS != 7 {
		t.Errorf("sample %+v", s)
	}
}

// Ctrl-C ends a run gracefully: requests under way are finished and counted as good.
func TestCancelKeepsWhatIsUnderWay(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	addr := serve(t, func(http.ResponseWriter, *http.Request) { cancel() })
	r, err := Run(ctx, Config{Addr: addr, VUsers: 5, Duration: time.Minute}, get(addr))
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Step("get"); s.OK == 0 || s.Failed != 0 {
		t.Errorf("%d good, %d bad: %v", s.OK, s.Failed, r.Errors)
	}
}

func TestBothClientsSendAndReadTheSame(t *testing.T) {
	large := strings.Repeat("x", 3<<20)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.RequestURI() != "/a?b=c" || r.Header.Get("X-One") != "1" || string(body) != "hello" || err != nil {
			w.WriteHeader(http.StatusTeapot)
		}
		w.Header().Set("X-Two", "2")
		_, _ = io.WriteString(w, large)
	}))
	s.Start()
	t.Cleanup(s.Close)
	for _, client := range []string{ClientFast, ClientNet} {
		for _, drop := range []bool{false, true} {
			c := Config{Addr: s.Listener.Addr().String(), VUsers: 2, Iterations: 3, Client: client, DropBodies: drop}
			r, err := Run(context.Background(), c, func(u *User) error {
				u.Prepare("POST", "/a?b=c").Header.Set("X-One", "1")
				u.Request.SetBodyString("hello")
				return u.Do("post", func(w *fasthttp.Response) bool {
					return w.StatusCode() == 200 && string(w.Header.Peek("X-Two")) == "2" && (drop || string(w.Body()) == large)
				})
			})
			if err != nil || r.Step("post").OK != 6 {
				t.Errorf("%s, drop %v: %v, %+v", client, drop, err, r.Errors)
			}
		}
	}
}

func TestNetClientSpeaksHTTP2(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Proto", r.Proto)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	n := newNetClient(Config{Addr: s.Listener.Addr().String(), TLS: true, VUsers: 1, Timeout: time.Second}, 1, net.DialTimeout)
	n.client.Transport.(*http.Transport).TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
	var request fasthttp.Request
	var response fasthttp.Response
	request.SetRequestURI("/")
	if err := n.Do(&request, &response); err != nil || string(response.Header.Peek("Proto")) != "HTTP/2.0" {
		t.Errorf("%v, %s", err, response.Header.Peek("Proto"))
	}
}

func TestPortsAreCompared(t *testing.T) {
	if err := checkPorts(6000, "32768\t60999\n"); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		users int
		ports string
		want  string
	}{{40_000, "32768\t60999\n", "sysctl"}, {1, "nonsense", "range of ports"}} {
		if err := checkPorts(c.users, c.ports); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d users, %q: %v", c.users, c.ports, err)
		}
	}
	if err := CheckLimits(1 << 30); err == nil || !strings.Contains(err.Error(), "hard limit") {
		t.Errorf("a billion users: %v", err)
	}
}

func TestErrorsHaveTheirSample(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no room", http.StatusServiceUnavailable) })
	r, err := Run(context.Background(), Config{Addr: addr, VUsers: 2, Iterations: 2}, get(addr))
	if err != nil {
		t.Fatal(err)
	}
	if e := r.Errors; len(e) != 1 || e[0].Count != 4 || e[0].Kind != "status 503" || e[0].Sample != "no room\n" || e[0].First < 0 || e[0].First > r.Elapsed {
		t.Errorf("%+v", e)
	}
	if s := r.Step("get"); s.Failed != 4 || s.Total.Count() != 0 || s.Failures.Count() != 4 {
		t.Errorf("%+v", s)
	}
	if len(r.Steps) != 2 || !r.Steps[0].Part || r.All().Failed != 4 || r.All().Failures.Count() != 4 {
		t.Errorf("%+v", r.Steps)
	}
}
