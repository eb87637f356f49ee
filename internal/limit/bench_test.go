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
	for b.Loop() {
		g.Read(r, 1, time.Now())
	}
}
