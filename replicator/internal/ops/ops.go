// Package ops serves the operators' requests to the replicator.
package ops

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/opsfeed"
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
	Compare func(repair bool) error      // opsfeed.ErrComparing: one is under way
	Guard   opspage.Guard                // decides who may ask for something
}

// Handler answers GET /v1/status, and POST /v1/rebuild, /v1/verify and /v1/repair. What was asked for is answered with 202
// if it will be made, and with 409 if this replicator can't make it now. The query parameter accept_older_timeline=true of
// a rebuild allows an older timeline.
func Handler(log *slog.Logger, reg prometheus.Registerer, r Replicator) http.Handler {
	rt := web.NewRouter(log, reg, problem)
	rt.Handle(http.MethodGet, "/v1/status", func(w http.ResponseWriter, req *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		web.WriteJSON(w, req, http.StatusOK, r.Status(time.Now()))
		return nil
	})
	for path, do := range map[string]func(*http.Request) error{
		"/v1/rebuild": func(req *http.Request) error {
			return r.Rebuild(req.URL.Query().Get("accept_older_timeline") == "true")
		},
		"/v1/verify": func(*http.Request) error { return r.Compare(false) },
		"/v1/repair": func(*http.Request) error { return r.Compare(true) },
	} {
		rt.Handle(http.MethodPost, path, func(w http.ResponseWriter, req *http.Request) error {
			if err := r.Guard.Change(req); err != nil {
				return err
			}
			if err := do(req); err != nil {
				return err
			}
			web.WriteJSON(w, req, http.StatusAccepted, r.Status(time.Now()))
			return nil
		})
	}
	return rt
}

func problem(err error) *web.Problem {
	if errors.Is(err, session.ErrBusy) || errors.Is(err, opsfeed.ErrComparing) {
		return web.NewProblem(http.StatusConflict, err.Error())
	}
	return opspage.Problem(err)
}
