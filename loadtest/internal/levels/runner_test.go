package levels

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func doorOf(f roundTripper) *client.Client {
	return client.New("http://test", client.WithHTTPClient(&http.Client{Transport: f}))
}

// A sample of the lag is one request. What does not say the lag is an error, so that the series has a gap.
func TestTheLagIsAskedForOnce(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		lag    string
		good   bool
	}{"as it should be": {200, "7", true}, "refused": {503, "7", false}, "without a lag": {200, "", false}} {
		asked := 0
		door := doorOf(func(r *http.Request) (*http.Response, error) {
			if asked++; r.Header.Get("Read-Path") != "redis" {
				t.Errorf("%s: %v", name, r.Header)
			}
			w := &http.Response{StatusCode: c.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"bids":[]}`)), Request: r}
			if c.lag != "" {
				w.Header.Set("Read-Lag-Ms", c.lag)
			}
			return w, nil
		})
		if ms, err := lag(t.Context(), door, 1); (err == nil) != c.good || c.good && ms != 7 || asked != 1 {
			t.Errorf("%s: %v after %d requests: %v", name, ms, asked, err)
		}
	}
}

// A system that does not answer does not hold up a load for ever.
func TestPublicKeysAreAwaitedForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door := doorOf(func(r *http.Request) (*http.Response, error) {
			select {
			case <-r.Context().Done():
				return nil, context.Cause(r.Context())
			case <-time.After(time.Hour):
				return nil, errors.New("nobody has given up")
			}
		})
		begun := time.Now()
		err := (&tokens{door: door}).prune(t.Context(), time.Now())
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took != sendTime {
			t.Errorf("%v after %v", err, took)
		}
	})
}
