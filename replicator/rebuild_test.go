package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/ops"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// Only an error that is newer than the request is a failure of the rebuild. The states are those in which a poll may meet
// the replicator.
func TestFollowTakesOnlyANewErrorForAFailure(t *testing.T) {
	report := func(epoch uint64, state status.State, lastError, at string) (s ops.Status) {
		s.Epoch, s.State, s.Rebuilds, s.LastError, s.LastErrorAt = epoch, state, 4, lastError, at
		return s
	}
	before := report(1, status.Streaming, "the connection was lost", "2026-11-27T10:00:00Z")
	before.Rebuilds = 3
	for _, c := range []struct {
		name    string
		reports []ops.Status
		fails   string
	}{
		{"the error of before is still shown", []ops.Status{report(1, status.Rebuilding, before.LastError, before.LastErrorAt), report(2, status.Streaming, "", "")}, ""},
		{"the error of before was cleared", []ops.Status{report(1, status.Rebuilding, "", ""), report(2, status.Streaming, "", "")}, ""},
		{"a new error", []ops.Status{report(1, status.Rebuilding, "Redis is full", "2026-11-27T10:00:05Z")}, "is tried again: Redis is full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			left := c.reports
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if err := json.NewEncoder(w).Encode(left[0]); err != nil {
					t.Error(err)
				}
				left = left[1:]
			}))
			t.Cleanup(server.Close)
			o := &operator{scheme: "http", address: strings.TrimPrefix(server.URL, "http://")}
			_, err := o.follow(t.Context(), before, progress.New(&bytes.Buffer{}, time.Now))
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("%v, want %q", err, c.fails)
			}
		})
	}
}
