package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// stub stands for a service behind the front door. It answers with its name and the request.
type stub struct {
	name          string
	public, admin string
	asked         atomic.Int64
	ready         atomic.Bool
	busy          atomic.Bool   // requests get a 503
	hang          chan struct{} // when it is closed, the requests that hang go on
	servers       []*http.Server
}

func startStub(t testing.TB, name string) *stub {
	t.Helper()
	s := &stub{name: name, hang: make(chan struct{})}
	s.ready.Store(true)
	s.public = s.serve(t, s.answer)
	s.admin = s.serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	t.Cleanup(func() {
		close(s.hang)
		s.close(t)
	})
	return s
}

func (s *stub) serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, MaxHeaderBytes: 16 << 10}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(l) }()
	return l.Addr().String()
}

func instances(stubs ...*stub) []testenv.Instance {
	var list []testenv.Instance
	for _, s := range stubs {
		list = append(list, testenv.Instance{Public: s.public, Admin: s.admin})
	}
	return list
}

func (s *stub) close(t testing.TB) {
	t.Helper()
	for _, server := range s.servers {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}
}

// answer does what the header Do says: feed, hang, break or break off.
func (s *stub) answer(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	switch r.Header.Get("Do") {
	case "feed":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ":\n\n")
		_ = http.NewResponseController(w).Flush()
		fallthrough
	case "hang":
		select {
		case <-s.hang:
		case <-r.Context().Done():
		}
	case "break":
		panic(http.ErrAbortHandler)
	case "break off":
		w.Header().Set("Content-Length", "40000")
		_, _ = io.WriteString(w, "begin")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "refuse":
		http.NotFound(w, r)
	default:
		w.Header().Set("Service", s.name)
		if r.URL.Path == "/socket.io/" && r.URL.Query().Get("sid") == "" {
			w.Header().Set("X-Session-Id", fmt.Sprintf("%s-%d", s.name, s.asked.Load()))
		}
		w.Header().Set("Asked", r.Method+" "+r.URL.EscapedPath())
		if s.busy.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}
