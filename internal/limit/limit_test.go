package limit

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

func TestRatesAreRead(t *testing.T) {
	for text, want := range map[string]Rates{
		"":                            {},
		"user=20/40":                  {User: Rate{20, 40}},
		"address=0.5/1":               {Address: Rate{0.5, 1}},
		"read=2000/4000":              {Read: Rate{2000, 4000}},
		"user=20/40, address=200/400": {User: Rate{20, 40}, Address: Rate{200, 400}},
	} {
		var got Rates
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"20/40", "user", "user=", "user=20", "user=20/", "user=/1", "user=0/1", "user=-1/1", "user=NaN/1",
		"user=Inf/1", "user=1/0", "user=1/1.5", "user=1/1,user=2/2", "ip=1/1", "user=1/1,", "user=1/1/1"} {
		var got Rates
		if err := got.UnmarshalText([]byte(text)); err == nil || got != (Rates{}) {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestTake(t *testing.T) {
	l := NewLimiter[int64](Rate{PerSecond: 2, Burst: 3})
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	for _, c := range []struct {
		key  int64
		ms   int
		wait int
	}{
		{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 500}, {1, 100, 400},
		{1, 100, 400}, // a refusal costs nothing
		{2, 100, 0},
		{1, 500, 0}, {1, 500, 500},
		{1, 60_000, 0}, {1, 60_000, 0}, {1, 60_000, 0}, {1, 60_000, 500}, // full again, and not more
	} {
		if got := l.Take(c.key, 1, 0, at(c.ms)).Wait; got != time.Duration(c.wait)*time.Millisecond {
			t.Errorf("key %d at %d ms: wait %v, want %d ms", c.key, c.ms, got, c.wait)
		}
	}
	if wait := (*Limiter[int64])(nil).Take(1, 1, 0, at(0)).Wait; wait != 0 || NewLimiter[int64](Rate{}) != nil {
		t.Errorf("no limit waits %v", wait)
	}
}

// W7: a request with a higher weight costs more, up to the whole burst, and a debt must be paid before the next
// request.
func TestTakeByWeight_W7(t *testing.T) {
	l := NewLimiter[int64](Rate{PerSecond: 2, Burst: 10})
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		tokens int
		wait   time.Duration
	}{{7, 0}, {4, 500 * time.Millisecond}, {3, 0}, {1, 500 * time.Millisecond}, {1000, 5 * time.Second}} {
		if got := l.Take(1, c.tokens, 0, now).Wait; got != c.wait {
			t.Errorf("%d tokens: wait %v, want %v", c.tokens, got, c.wait)
		}
	}
	l.Owe(1, 4, now)
	if got := l.Take(1, 1, 0, now).Wait; got != 2500*time.Millisecond {
		t.Errorf("after a debt: wait %v", got)
	}
	l.Owe(2, 1000, now)
	if got := l.Take(2, 1, 0, now).Wait; got != 500*time.Millisecond {
		t.Errorf("a debt is bounded: wait %v", got)
	}
	(*Limiter[int64])(nil).Owe(1, 1, now)
}

// W4: the number of buckets is bounded, however many clients come, and other clients do not displace the bucket of a
// limited one.
func TestBucketsAreBounded_W4(t *testing.T) {
	l := NewLimiter[int64](Rate{PerSecond: 0.001, Burst: 10})
	l.most = 100
	now := time.Unix(1000, 0)
	for range 10 {
		l.Take(-1, 1, 0, now)
	}
	for key := range int64(10_000) {
		l.Take(key, 1, 0, now)
	}
	if len(l.buckets) != 100 {
		t.Errorf("%d buckets", len(l.buckets))
	}
	if l.Take(-1, 1, 0, now).Wait == 0 {
		t.Error("the limited key was forgotten")
	}
}

func TestClient(t *testing.T) {
	var proxies web.Proxies
	if err := proxies.UnmarshalText([]byte("10.0.0.0/8, 2001:db8::/32")); err != nil {
		t.Fatal(err)
	}
	if err := new(web.Proxies).UnmarshalText([]byte("10.0.0.1")); err == nil {
		t.Error("an address is no network")
	}
	for _, c := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:5000", nil, "192.0.2.1"},
		{"192.0.2.1:5000", []string{"198.51.100.7"}, "192.0.2.1"}, // anybody can send the header
		{"127.0.0.1:5000", nil, "127.0.0.1"},
		{"127.0.0.1:5000", []string{"198.51.100.7"}, "198.51.100.7"},
		{"127.0.0.1:5000", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7"},
		{"127.0.0.1:5000", []string{"1.1.1.1", "198.51.100.7"}, "198.51.100.7"},
		{"127.0.0.1:5000", []string{"198.51.100.7,"}, "127.0.0.1"},
		{"127.0.0.1:5000", []string{"unknown"}, "127.0.0.1"},
		{"[::1]:5000", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"10.1.2.3:5000", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[2001:db8::1]:5000", []string{"2001:db9:1:2:3:4:5:6"}, "2001:db9:1:2::"},
		{"[2001:db9::1]:5000", []string{"198.51.100.7"}, "2001:db9::"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := proxies.Client(r); got != netip.MustParseAddr(c.want) {
			t.Errorf("%s %v: %v, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

func TestGuardWithoutLimits(t *testing.T) {
	g := NewGuard(Rates{}, nil, prometheus.NewRegistry())
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	for range 1000 {
		if g.User(w, 1, time.Time{}) != 0 || g.Address(w, r, time.Time{}) != 0 || g.Login(w, r, "user1", time.Time{}) != 0 ||
			g.Read(w, r, 1, 0, time.Time{}) != 0 || len(w.Header()) != 0 {
			t.Fatal("limited")
		}
	}
}
