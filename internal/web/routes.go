package web

import (
	"net/http"
	"strconv"

	"github.com/gorilla/mux"
)

// OpenAPI serves the document that describes the routes (RFC 9512).
func OpenAPI(document []byte) Handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/yaml")
		_, err := w.Write(document)
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
