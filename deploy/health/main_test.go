package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOnly200IsHealthy(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	if err := run([]string{s.URL + "/readyz"}); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{s.URL + "/other"}, {"http://127.0.0.1:1/readyz"}, {"http://127.0.0.1:1"}, nil} {
		if err := run(args); err == nil {
			t.Errorf("%q is healthy", args)
		}
	}
}
