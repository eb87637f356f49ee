package auth

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// The tokens of a removed key are refused after this time at the latest.
	fetchEvery = 10 * time.Second
	// An unknown key id makes the keys be fetched early, but not more often than this, because any forged token can
	// have one.
	fetchAtMostEvery = time.Second
	fetchTime        = 2 * time.Second
	maxJWKS          = 64 << 10 // bytes
)

// ErrNoKeys says that the published keys can't be read, so that an unknown key may be a new one.
var ErrNoKeys = errors.New("published keys not read yet")

// Remote holds the keys that another service publishes as a JWKS document. While the document can't be read, the keys
// that were read last count.
type Remote struct {
	url    string
	client *http.Client
	log    *slog.Logger
	keys   atomic.Pointer[map[string]ed25519.PublicKey] // nil: never read

	mu        sync.Mutex // held while the document is read
	fetchedAt time.Time  // also when it failed
	failure   error
}

// NewRemote makes a source of the keys at a URL. It reads nothing yet.
func NewRemote(url string, log *slog.Logger) *Remote {
	return &Remote{url: url, log: log, client: &http.Client{Timeout: fetchTime}}
}

// Run reads the keys every ten seconds until ctx ends, and returns nil.
func (r *Remote) Run(ctx context.Context) error {
	tick := time.NewTicker(fetchEvery)
	defer tick.Stop()
	for {
		_ = r.refresh(ctx, time.Now()) // refresh logs the error; the next try is soon
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Key implements KeySource.
func (r *Remote) Key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	if key, ok := r.known(kid); ok {
		return key, nil
	}
	// Other requests wait for this answer too, so the reading goes on if this request ends.
	err := r.refresh(context.WithoutCancel(ctx), time.Now())
	if key, ok := r.known(kid); ok {
		return key, nil
	}
	if err != nil || r.keys.Load() == nil {
		return nil, ErrNoKeys // the key may be a new one
	}
	return nil, ErrUnknownKey
}

func (r *Remote) known(kid string) (ed25519.PublicKey, bool) {
	keys := r.keys.Load()
	if keys == nil {
		return nil, false
	}
	key, ok := (*keys)[kid]
	return key, ok
}

// refresh reads the keys, unless they were read less than fetchAtMostEvery ago. It returns the error of the last
// reading. Of several failures in a row it logs the first.
func (r *Remote) refresh(ctx context.Context, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.fetchedAt) < fetchAtMostEvery {
		return r.failure
	}
	keys, err := r.fetch(ctx)
	r.fetchedAt = time.Now()
	if err == nil {
		r.keys.Store(&keys)
	} else if r.failure == nil && ctx.Err() == nil {
		r.log.WarnContext(ctx, "published keys not read", "error", err)
	}
	r.failure = err
	return err
}

func (r *Remote) fetch(ctx context.Context) (keys map[string]ed25519.PublicKey, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", response.Status)
	}
	doc, err := io.ReadAll(io.LimitReader(response.Body, maxJWKS))
	if err != nil {
		return nil, err
	}
	return ParseJWKS(doc)
}
