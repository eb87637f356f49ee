package main

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

func TestOnly200IsHealthy(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	trusted, stranger := filepath.Join(t.TempDir(), "ca.crt"), filepath.Join(t.TempDir(), "other.crt")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := errors.Join(os.WriteFile(trusted, text, 0o600), os.WriteFile(stranger, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{s.URL + "/readyz", trusted}); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{
		{s.URL + "/other", trusted}, {s.URL + "/readyz", stranger}, {s.URL + "/readyz", "/nowhere"}, {s.URL + "/readyz"},
		{"https://127.0.0.1:1/readyz", trusted}, {"https://127.0.0.1:1", trusted}, nil,
	} {
		if err := run(args); err == nil {
			t.Errorf("%q is healthy", args)
		}
	}
}
