package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// W7: what a read turned out to cost is charged to its address, even if it was refused.
func TestAReadIsChargedForWhatItCost_W7(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int // how many reads of weight 2 the budget of 101 allows
	}{
		{nil, 50},
		{bidbook.ErrNotFound, 50},
		{fmt.Errorf("paths: %w", bidbook.ErrBusy), 50}, // not the client's fault
		{fmt.Errorf("paths: %w", bidbook.ErrBehind), 9},
		{fmt.Errorf("paths: %w", bidbook.ErrCounting), 5},
		{fmt.Errorf("paths: %w", bidbook.ErrTooMuch), 5},
	} {
		a := &API{limits: limit.NewGuard(limit.Rates{Read: limit.Rate{PerSecond: 0.001, Burst: 101}}, web.Proxies{}, prometheus.NewRegistry())}
		asked := 0
		h := a.limited(2, func(http.ResponseWriter, *http.Request) error { asked++; return c.err })
		var err error
		for range 60 {
			if err = h(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/raffles/1", nil)); !errors.Is(err, c.err) {
				break
			}
		}
		if asked != c.want {
			t.Errorf("W7: %v: %d reads were let through, want %d; then %v", c.err, asked, c.want, err)
		}
	}
}
