package limit

import (
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestHeaders(t *testing.T) {
	user, login := newPolicy("user", Rate{20, 40}), newPolicy("login", Rate{0.3, 1})
	address := newPolicy("login-address", Rate{5, 100})
	h := http.Header{}
	for i, c := range []struct {
		of             policy
		s              Standing
		standing, text string
	}{
		{user, Standing{Low: true, Left: 17, More: time.Millisecond}, `"user";r=17;t=1`, `"user";q=40;w=2`},
		{user, Standing{Low: true, Left: 5, More: time.Second}, `"user";r=5;t=1`, `"user";q=40;w=2`},
		{address, Standing{Low: true, Left: 3, More: time.Second + 1}, `"user";r=5;t=1, "login-address";r=3;t=2`, `"user";q=40;w=2, "login-address";q=100;w=20`},
		{login, Standing{Low: true, Wait: 3 * time.Second, More: time.Second}, `"login";r=0;t=3, "user";r=5;t=1, "login-address";r=3;t=2`, `"login";q=1;w=4, "user";q=40;w=2, "login-address";q=100;w=20`},
		{user, Standing{Wait: time.Minute, Left: 20, More: time.Second}, `"user";r=20;t=60, "login";r=0;t=3, "login-address";r=3;t=2`, `"user";q=40;w=2, "login";q=1;w=4, "login-address";q=100;w=20`},
	} {
		c.of.announce(h, c.s)
		if got, text := h.Get("RateLimit"), h.Get("RateLimit-Policy"); got != c.standing || text != c.text {
			t.Errorf("step %d: %s and %s, want %s and %s", i, got, text, c.standing, c.text)
		}
	}
	if got := exhausted(h); got != 3*time.Second {
		t.Errorf("nothing is left for %v", got)
	}
}

// named is a limit as a client reads it.
type named struct{ r, t, q, w int }

var (
	standings = regexp.MustCompile(`"([a-z-]+)";r=(\d+);t=([1-9]\d*)(?:, |$)`)
	policies  = regexp.MustCompile(`"([a-z-]+)";q=([1-9]\d*);w=([1-9]\d*)(?:, |$)`)
)

// read is what the headers of an answer say.
func read(t *testing.T, h http.Header) map[string]named {
	t.Helper()
	limits := map[string]named{}
	all, texts := standings.FindAllStringSubmatch(h.Get("RateLimit"), -1), policies.FindAllStringSubmatch(h.Get("RateLimit-Policy"), -1)
	if len(all) != len(texts) {
		t.Fatalf("%v", h)
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i, m := range all {
		if texts[i][1] != m[1] {
			t.Fatalf("%v", h)
		}
		limits[m[1]] = named{number(m[2]), number(m[3]), number(texts[i][2]), number(texts[i][3])}
	}
	return limits
}

// person asks one Guard again and again, with a clock of their own.
type person struct {
	*testing.T
	guard *Guard
	rates Rates
	now   time.Time
}

func (p *person) ask(weight int) (h http.Header, wait time.Duration) {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	p.now = p.now.Add(time.Duration(rand.Int64N(int64(5 * time.Millisecond))))
	if weight > 0 {
		if wait = p.guard.Read(w, r, 1, 0, p.now); wait == 0 {
			wait = p.guard.Read(w, r, weight-1, 1, p.now)
		}
	} else if wait = p.guard.Address(w, r, p.now); wait == 0 {
		if wait = p.guard.Login(w, r, "user1", p.now); wait == 0 {
			wait = p.guard.User(w, 1, p.now)
		}
	}
	return w.Header(), wait
}

func people(t *testing.T, each func(p *person)) {
	for range 40 {
		rate := func() Rate {
			return Rate{PerSecond: math.Pow(10, rand.Float64()*5-2.5), Burst: 1 + rand.IntN(40)}
		}
		rates := Rates{User: rate(), Address: rate(), Login: rate(), LoginAddress: rate(), Read: rate()}
		each(&person{t, NewGuard(rates, nil, prometheus.NewRegistry()), rates, time.Unix(1000, 0)})
		if t.Failed() {
			t.Logf("%+v", rates)
			return
		}
	}
}

// W4: a client that stops when nothing is left, and waits as the headers say, is never refused.
func TestAClientThatWaitsIsNotRefused_W4(t *testing.T) {
	people(t, func(p *person) {
		for i := range 100 {
			h, wait := p.ask(0)
			if wait > 0 {
				t.Fatalf("request %d is refused for %v: %v", i, wait, h)
			}
			for _, l := range read(t, h) {
				if l.r == 0 {
					wait = max(wait, time.Duration(l.t)*time.Second)
				}
			}
			p.now = p.now.Add(wait)
		}
	})
}

// W4: a client that knows how much its read weighs can tell when there is enough for it.
func TestAReaderThatWaitsIsNotRefused_W4(t *testing.T) {
	people(t, func(p *person) {
		weight := 1 + rand.IntN(2*p.rates.Read.Burst)
		for i := range 100 {
			h, wait := p.ask(weight)
			if wait > 0 {
				t.Fatalf("read %d, which weighs %d, is refused for %v: %v", i, weight, wait, h)
			}
			if l, low := read(t, h)["read"]; low && l.r < min(weight, l.q) {
				p.now = p.now.Add(time.Duration(((min(weight, l.q)-l.r)*l.w + l.q - 1) / l.q * int(time.Second)))
			}
		}
	})
}

// W4: a client that waits as long as Retry-After says is granted by each limit that the refusal names.
func TestRetryAfterIsEnough_W4(t *testing.T) {
	people(t, func(p *person) {
		for i := range 200 {
			h, wait := p.ask(0)
			for named := map[string]bool{}; wait > 0; h, wait = p.ask(0) {
				longest := time.Duration(0)
				for first, m := range standings.FindAllStringSubmatch(h.Get("RateLimit"), -1) {
					if first == 0 && named[m[1]] {
						t.Fatalf("request %d is refused again by %s: %v", i, m[1], h)
					}
					named[m[1]] = true
				}
				for _, l := range read(t, h) {
					longest = max(longest, time.Duration(l.t)*time.Second)
				}
				if longest < wait {
					t.Fatalf("request %d is refused for %v: %v", i, wait, h)
				}
				p.now = p.now.Add((wait + time.Second - 1).Truncate(time.Second))
			}
		}
	})
}

// W4: a read is refused twice at most. What it weighs beside its route is not known at its first charge.
func TestRetryAfterOfReadsIsEnough_W4(t *testing.T) {
	people(t, func(p *person) {
		for i := range 200 {
			weight := 1 + i%(2*p.rates.Read.Burst)
			h, wait := p.ask(weight)
			for refusals := 1; wait > 0; refusals++ {
				if refusals > 2 || read(t, h)["read"].t != int((wait+time.Second-1)/time.Second) {
					t.Fatalf("read %d, which weighs %d, is refused %d times, for %v: %v", i, weight, refusals, wait, h)
				}
				p.now = p.now.Add((wait + time.Second - 1).Truncate(time.Second))
				h, wait = p.ask(weight)
			}
		}
	})
}

// A charge that comes after the answer is known is in the headers, too.
func TestDebtIsAnnounced(t *testing.T) {
	g := NewGuard(Rates{Read: Rate{PerSecond: 2, Burst: 10}}, nil, prometheus.NewRegistry())
	w, r, now := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), time.Unix(1000, 0)
	if wait := g.Read(w, r, 1, 0, now); wait > 0 {
		t.Fatalf("refused for %v", wait)
	}
	for i, want := range []string{"", `"read";r=1;t=1`, `"read";r=0;t=2`, `"read";r=0;t=4`} {
		g.ReadMore(w, r, 4, now)
		if got := w.Header().Get("RateLimit"); got != want {
			t.Errorf("charge %d: %s, want %s", i, got, want)
		}
	}
	(*Guard)(nil).ReadMore(w, r, 1, now)
}
