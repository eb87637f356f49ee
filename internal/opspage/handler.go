package opspage

import (
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// The paths of the page.
const (
	pagePath  = "/ops"
	feedPath  = pagePath + "/feed"
	statePath = pagePath + "/state"
	tokenPath = pagePath + "/token"
)

// writeTime is how long a viewer may take for a frame.
const writeTime = 5 * time.Second

// Handler answers GET / (which leads to the page), /ops (the page), /ops/feed (Server-Sent Events: "history" once, then "now" each second), /ops/state
// (the last Report) and /ops/token (whether the token of the request is an admin's). Other requests get rest. Its requests
// are not in the metrics of the service, because a feed stays open.
func (h *Hub) Handler(rest http.Handler) http.Handler {
	routes := map[string]http.Handler{
		pagePath: h.guarded(h.page.serve), feedPath: h.guarded(h.feed),
		"/": http.RedirectHandler(pagePath, http.StatusSeeOther),
		tokenPath: h.guarded(func(w http.ResponseWriter, r *http.Request) error {
			if err := h.options.Guard.Admin(r); err != nil {
				return err
			}
			web.WriteJSON(w, r, http.StatusOK, map[string]bool{"admin": true})
			return nil
		}),
		statePath: h.guarded(func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Cache-Control", "no-store")
			web.WriteJSON(w, r, http.StatusOK, h.state())
			return nil
		}),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route, ours := routes[r.URL.Path]; ours && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			route.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// guarded refuses requests that a page of another site may have made with a name that leads here.
func (h *Hub) guarded(next func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h.options.Guard.Host(r)
		if err == nil {
			err = next(w, r)
		}
		if err != nil {
			web.WriteProblem(w, r, problem(err))
		}
	})
}

// feed sends the history and then frames until the viewer leaves, is too slow, or the service stops.
func (h *Hub) feed(w http.ResponseWriter, r *http.Request) error {
	v, first, err := h.enter()
	if err != nil {
		return err
	}
	defer h.leave(v)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	control := http.NewResponseController(w)
	// The server's time limits are for requests that end.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	for next, more := first, true; more && deliver(w, control, next); {
		select {
		case next, more = <-v.frames:
		case <-r.Context().Done():
			more = false
		}
	}
	return nil
}

// deliver writes a frame. It returns false if the viewer has left or takes too long; the answer has begun, so nobody can be
// told.
func deliver(w http.ResponseWriter, control *http.ResponseController, frame []byte) bool {
	if control.SetWriteDeadline(time.Now().Add(writeTime)) != nil {
		return false
	}
	if _, err := w.Write(frame); err != nil {
		return false
	}
	return control.Flush() == nil
}
