// Package ops serves what operators ask the replicator.
package ops

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/project"
)

// Handler answers GET /v1/status with the replicator's project.Status.
func Handler(log *slog.Logger, reg prometheus.Registerer, status func(now time.Time) project.Status) http.Handler {
	rt := web.NewRouter(log, reg, func(error) *web.Problem { return nil })
	rt.Handle(http.MethodGet, "/v1/status", func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		web.WriteJSON(w, r, http.StatusOK, status(time.Now()))
		return nil
	})
	return rt
}
