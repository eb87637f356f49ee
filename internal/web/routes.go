package web

import (
	"net/http"
	"strconv"

	"github.com/gorilla/mux"
)

// YAML is the media type of an OpenAPI document (RFC 9512).
const YAML = "application/yaml"

// File serves a text that is the same as long as the service runs. Caches may keep it for a minute.
func File(mediaType string, text []byte) Handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		h := w.Header()
		h.Set("Content-Type", mediaType)
		h.Set("Content-Length", strconv.Itoa(len(text)))
		h.Set("Cache-Control", "public, max-age=60")
		_, err := w.Write(text)
		return err
	}
}

// PathID reads an id from the path. It returns 0 for a text that is no positive number, or not in its one form.
func PathID(r *http.Request, name string) int64 {
	text := mux.Vars(r)[name]
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != text {
		return 0
	}
	return id
}
