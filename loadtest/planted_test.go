package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// faulty forwards everything to the front door but handles every n-th bid by itself.
func faulty(t *testing.T, front string, n int64, handle func(w http.ResponseWriter, r *http.Request, forward http.Handler)) string {
	t.Helper()
	target, err := url.Parse(front)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}
	var bids atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/bids") && bids.Add(1)%n == 0 {
			handle(w, r, proxy)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// again sends a bid a second time, to another raffle, and drops the answer.
func again(t *testing.T, front string, r *http.Request, body string, key string) {
	other := "/v1/raffles/901/bids"
	if r.URL.Path == other {
		other = "/v1/raffles/902/bids"
	}
	second, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), http.MethodPost, front+other, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	second.Header = r.Header.Clone()
	second.Header.Del("Idempotency-Key")
	if key != "" {
		second.Header.Set("Idempotency-Key", key)
	}
	w, err := http.DefaultClient.Do(second)
	if err != nil {
		t.Error(err)
		return
	}
	if err := w.Body.Close(); err != nil || w.StatusCode != http.StatusCreated {
		t.Errorf("the double was answered %s, %v", w.Status, err)
	}
}

// A run fails if one bid in 10,000 is lost, or doubled, with or without its key.
func (s *stack) plantedFaults(t *testing.T) {
	lose := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Location", "/v1/raffles/901/bids/5001")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":5001}`)
	}
	double := func(keep bool) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			key := ""
			if keep {
				key = r.Header.Get("Idempotency-Key")
			}
			again(t, s.url, r, string(body), key)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			forward.ServeHTTP(w, r)
		}
	}
	for _, c := range []struct {
		name                      string
		every                     int64
		handle                    func(http.ResponseWriter, *http.Request, http.Handler)
		load                      string
		lost, doubled, unexpected int64
	}{
		{"loss", 10_000, lose, "--vusers 20 --iterations 500", 1, 0, 0},
		{"double", 100, double(true), "--vusers 10 --iterations 10", 0, 1, 0},
		{"double without its key", 100, double(false), "--vusers 10 --iterations 10", 0, 0, 1},
	} {
		args := fmt.Sprintf("level 4 --ramp-up 0s %s --work %s --url %s", c.load, t.TempDir(), faulty(t, s.url, c.every, c.handle))
		r := runToReport(t.Context(), t, strings.Fields(args))
		if len(r.Reconciliations) != 2 {
			t.Fatalf("%s: %+v", c.name, r.Verdict)
		}
		p, redis := r.Reconciliations[0], r.Reconciliations[1]
		if p.Lost != c.lost || p.Doubled != c.doubled || p.Unexpected != c.unexpected || r.Verdict.Passed() {
			t.Errorf("%s: Postgres %+v", c.name, p)
		}
		if redis.Lost != c.lost || redis.Problem != "" {
			t.Errorf("%s: Redis %+v", c.name, redis)
		}
	}
}
