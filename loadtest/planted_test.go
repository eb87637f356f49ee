package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
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

// answerTo is the 201 to a bid that was sent, with an id that no bid has.
func answerTo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var raffle int
	_, _ = fmt.Sscanf(r.URL.Path, "/v1/raffles/%d/bids", &raffle)
	w.Header().Set("Location", fmt.Sprintf("/v1/raffles/%d/bids/5001", raffle))
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"id":5001,"raffle_id":%d,"user_id":%s,"created_at":"2026-01-01T00:00:00.000000Z",%s`, raffle, subject(r), body[1:])
}

// subject is the user that a request's token names.
func subject(r *http.Request) string {
	var claims struct {
		Sub string `json:"sub"`
	}
	parts := strings.Split(r.Header.Get("Authorization"), ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return "0"
	}
	return claims.Sub
}

// cheaper lowers the price of a bid on its way, and raises it again in the answer.
func cheaper(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	price := regexp.MustCompile(`"price":\d+`)
	sent := price.Find(body)
	changed := price.ReplaceAll(body, []byte(`"price":1`))
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(changed)), int64(len(changed))
	answer := httptest.NewRecorder()
	forward.ServeHTTP(answer, r)
	maps.Copy(w.Header(), answer.Header())
	w.Header().Del("Content-Length")
	w.WriteHeader(answer.Code)
	_, _ = w.Write(price.ReplaceAll(answer.Body.Bytes(), sent))
}

// A run fails if one bid in 10,000 is lost, or doubled, with or without its key, or stored at another price.
func (s *stack) plantedFaults(t *testing.T) {
	lose := func(w http.ResponseWriter, r *http.Request, _ http.Handler) { answerTo(w, r) }
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
		name                               string
		every                              int64
		handle                             func(http.ResponseWriter, *http.Request, http.Handler)
		load                               string
		lost, doubled, unexpected, altered int64
	}{
		{"loss", 10_000, lose, "--vusers 20 --iterations 500", 1, 0, 0, 0},
		{"double", 100, double(true), "--vusers 10 --iterations 10", 0, 1, 0, 0},
		{"double without its key", 100, double(false), "--vusers 10 --iterations 10", 0, 0, 1, 0},
		{"wrong price", 100, cheaper, "--vusers 10 --iterations 10", 0, 0, 0, 1},
	} {
		work := t.TempDir()
		args := fmt.Sprintf("level 4 --ramp-up 0s %s --work %s --url %s", c.load, work, faulty(t, s.url, c.every, c.handle))
		r := runToReport(t.Context(), t, strings.Fields(args))
		again := runToReport(t.Context(), t, append([]string{"reconcile", "--url", s.url}, journals(t, work)...))
		for _, r := range []*report.Run{r, again} {
			if len(r.Reconciliations) != 2 || r.Verdict.Passed() {
				t.Fatalf("%s: %+v", c.name, r.Verdict)
			}
			p, redis := r.Reconciliations[0], r.Reconciliations[1]
			if p.Lost != c.lost || p.Doubled != c.doubled || p.Unexpected != c.unexpected || p.Altered != c.altered {
				t.Errorf("%s: Postgres %+v", c.name, p)
			}
			if redis.Lost != c.lost || redis.Problem != "" {
				t.Errorf("%s: Redis %+v", c.name, redis)
			}
		}
	}
}

// journals are those that the runs in a folder have kept.
func journals(t *testing.T, work string) []string {
	t.Helper()
	kept, err := filepath.Glob(filepath.Join(work, "journal-*"))
	if err != nil || len(kept) == 0 {
		t.Fatalf("journals %q, %v", kept, err)
	}
	return kept
}

// spoiled forwards everything to the front door, but changes the bids of the first page in that order that has several.
func spoiled(t *testing.T, front, order string, change func([]json.RawMessage) []json.RawMessage) string {
	t.Helper()
	target, err := url.Parse(front)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(w *http.Response) error {
			if w.Request.URL.Query().Get("order") != order {
				return nil
			}
			var page struct {
				Bids []json.RawMessage `json:"bids"`
				Next *string           `json:"next_cursor"`
			}
			if err := json.NewDecoder(w.Body).Decode(&page); err != nil {
				return err
			}
			if len(page.Bids) > 1 {
				once.Do(func() { page.Bids = change(page.Bids) })
			}
			body, err := json.Marshal(page)
			w.Body = io.NopCloser(bytes.NewReader(body))
			w.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return err
		},
	})
	t.Cleanup(s.Close)
	return s.URL
}

// A run fails if Redis has a bid out of its place, or lacks it in the order by price alone; and if arrivals were dropped.
func (s *stack) plantedInTheReadModel(t *testing.T) {
	swap := func(bids []json.RawMessage) []json.RawMessage {
		bids[0], bids[1] = bids[1], bids[0]
		return bids
	}
	for _, c := range []struct{ name, order, failed string }{
		{"swapped", "newest", "1 out of place"}, {"swapped", "highest", "out of place"}, {"lacking", "highest", "out of place"},
	} {
		change := swap
		if c.name == "lacking" {
			change = func(bids []json.RawMessage) []json.RawMessage { return bids[1:] }
		}
		args := "level 4 --vusers 10 --iterations 30 --ramp-up 0s --work " + t.TempDir() + " --url " + spoiled(t, s.url, c.order, change)
		r := runToReport(t.Context(), t, strings.Fields(args))
		if got := condition(r, "bids in Redis"); got.OK || !strings.Contains(got.Got, c.failed) || !condition(r, "bids in Postgres").OK {
			t.Errorf("%s in the order %s: %+v", c.name, c.order, r.Verdict.Conditions)
		}
	}
	r := runToReport(t.Context(), t, strings.Fields("level 4 --vusers 2 --rate 20000 --iterations 0 --duration 1s --work "+t.TempDir()))
	if got := condition(r, "arrivals dropped"); got.OK || !condition(r, "bids in Redis").OK || r.Arrivals.Dropped == 0 {
		t.Errorf("%+v, %+v", r.Arrivals, r.Verdict.Conditions)
	}
}

func condition(r *report.Run, name string) report.Condition {
	for _, c := range r.Verdict.Conditions {
		if c.Name == name {
			return c
		}
	}
	return report.Condition{}
}
