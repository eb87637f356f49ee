// Package ops serves the operators' requests to the replicator.
package ops

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/session"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// Status is the answer to GET /v1/status. Verify is missing if the background comparison is off.
type Status struct {
	status.Status
	Verify *verify.State `json:"verify,omitempty"`
}

// Replicator is the replicator as the handler needs it.
type Replicator struct {
	Status  func(now time.Time) Status
	Rebuild func(acceptOlder bool) error // session.ErrBusy: not possible now
}

// Handler answers GET /v1/status and POST /v1/rebuild. The latter is answered with 202 if the rebuild will be made, and
// with 409 if this replicator can't make one. The query parameter accept_older_timeline=true allows an older timeline.
func Handler(log *slog.Logger, reg prometheus.Registerer, r Replicator) http.Handler {
	rt := web.NewRouter(log, reg, problem)
	rt.Handle(http.MethodGet, "/v1/status", func(w http.ResponseWriter, req *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		web.WriteJSON(w, req, http.StatusOK, r.Status(time.Now()))
		return nil
	})
	rt.Handle(http.MethodPost, "/v1/rebuild", func(w http.ResponseWriter, req *http.Request) error {
		// A browser sends the origin of the page that makes a POST. No page may start a rebuild.
		if req.Header.Get("Origin") != "" {
			return web.NewProblem(http.StatusForbidden, "this is not for browsers")
		}
		if err := r.Rebuild(req.URL.Query().Get("accept_older_timeline") == "true"); err != nil {
			return err
		}
		web.WriteJSON(w, req, http.StatusAccepted, r.Status(time.Now()))
		return nil
	})
	return rt
}

func problem(err error) *web.Problem {
	if errors.Is(err, session.ErrBusy) {
		return web.NewProblem(http.StatusConflict, err.Error())
	}
	return nil
}
