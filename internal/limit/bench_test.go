package limit

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// BenchmarkRead is what the limit adds to a read through a proxy.
func BenchmarkRead(b *testing.B) {
	g := NewGuard(Rates{Read: Rate{1e6, 1e6}}, nil, prometheus.NewRegistry())
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", "192.0.2.1")
	b.ReportAllocs()
	w := httptest.NewRecorder()
	for b.Loop() {
		g.Read(w, r, 1, 0, time.Now())
	}
}

// BenchmarkReadNearItsLimit is the same for a read whose answer names the limit.
func BenchmarkReadNearItsLimit(b *testing.B) {
	g := NewGuard(Rates{Read: Rate{1e6, 1e6}}, nil, prometheus.NewRegistry())
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", "192.0.2.1")
	now := time.Now()
	g.Read(w, r, 6e5, 0, now)
	b.ReportAllocs()
	for b.Loop() {
		clear(w.Header())
		g.Read(w, r, 1, 0, now)
		now = now.Add(time.Microsecond)
	}
}
