package auth

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// Published keys are read when they are needed, and again, at a limited rate, for an unknown key id. They stay valid
// when the service that publishes them is gone.
func TestRemoteKeys(t *testing.T) {
	folder, err := OpenFolder(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var reads atomic.Int32
	var down atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reads.Add(1)
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if _, err := w.Write(folder.JWKS()); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	token, err := NewSigner(folder, time.Hour, time.Now).Sign(7, RoleBidder)
	if err != nil {
		t.Fatal(err)
	}
	remote := NewRemote(server.URL, slog.New(slog.DiscardHandler))
	down.Store(true)
	if _, err := NewVerifier(remote, time.Now).Verify(t.Context(), token); !errors.Is(err, ErrNoKeys) || errors.Is(err, ErrToken) {
		t.Errorf("without keys: %v", err)
	}
	remote.fetchedAt = time.Time{}
	down.Store(false)
	verifier := NewVerifier(remote, time.Now)
	for range 100 {
		if who, err := verifier.Verify(t.Context(), token); err != nil || who.UserID != 7 {
			t.Fatalf("%+v, %v", who, err)
		}
		if _, err := remote.Key(t.Context(), "forged"); !errors.Is(err, ErrUnknownKey) {
			t.Fatal(err)
		}
	}
	if n := reads.Load(); n > 4 {
		t.Errorf("read %d times", n)
	}
	remote.fetchedAt = time.Time{}
	down.Store(true)
	if _, err := remote.Key(t.Context(), "new or forged"); !errors.Is(err, ErrNoKeys) {
		t.Errorf("nobody can tell now whether the key is a new one: %v", err)
	}
	if _, err := verifier.Verify(t.Context(), token); err != nil {
		t.Errorf("the publisher is down: %v", err)
	}
}
