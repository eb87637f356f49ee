package auth

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	reloadEvery = 2 * time.Second
	// Another process may sign with a key that was dropped in since the last look: an unknown key id
	// is a reason to look again, but not for every forged token.
	reloadAtMostEvery = 100 * time.Millisecond
)

// Folder is a folder of private keys, <kid>.pem each: PKCS#8 Ed25519. The last one by file name signs,
// all of them are published; so a new file rotates and a removed one ends the tokens it has signed.
type Folder struct {
	dir string
	log *slog.Logger
	set atomic.Pointer[keySet]

	mu       sync.Mutex // held while the folder is read
	readAt   time.Time
	reported string
}

// keySet is what the folder held at one time.
type keySet struct {
	private map[string]ed25519.PrivateKey
	newest  string
	jwks    []byte
}

// OpenFolder reads the keys of a folder, and makes the first one if there is none. Two starters at
// once agree on one key. A file that can't be read as a key is logged and left out.
func OpenFolder(dir string, log *slog.Logger) (*Folder, error) {
	if err := ensureKey(dir, time.Now()); err != nil {
		return nil, err
	}
	f := &Folder{dir: dir, log: log}
	f.set.Store(&keySet{})
	err := f.reload()
	if len(f.set.Load().private) == 0 {
		if err == nil {
			err = ErrNoKey
		}
		return nil, err
	}
	f.report(err)
	return f, nil
}

// Run reads the folder again every two seconds until ctx ends, and returns nil.
func (f *Folder) Run(ctx context.Context) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f.report(f.reload())
		}
	}
}

// Key implements KeySource.
func (f *Folder) Key(_ context.Context, kid string) (ed25519.PublicKey, error) {
	if key, ok := f.set.Load().private[kid]; ok {
		return key.Public().(ed25519.PublicKey), nil
	}
	f.reloadForUnknown()
	if key, ok := f.set.Load().private[kid]; ok {
		return key.Public().(ed25519.PublicKey), nil
	}
	return nil, ErrUnknownKey
}

// JWKS is the document that publishes the keys (RFC 7517).
func (f *Folder) JWKS() []byte { return f.set.Load().jwks }

func (f *Folder) signing() (kid string, key ed25519.PrivateKey, err error) {
	set := f.set.Load()
	if set.newest == "" {
		return "", nil, ErrNoKey
	}
	return set.newest, set.private[set.newest], nil
}

func (f *Folder) reloadForUnknown() {
	f.mu.Lock()
	recent := time.Since(f.readAt) < reloadAtMostEvery
	f.mu.Unlock()
	if !recent {
		f.report(f.reload())
	}
}

// reload takes over what the folder holds now. A key whose file can't be read for the moment stays.
func (f *Folder) reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readAt = time.Now()
	old := f.set.Load()
	next, err := readKeys(f.dir, old.private)
	if next == nil {
		return err
	}
	if next.newest != old.newest {
		f.log.Info("signing key", "kid", next.newest, "keys", len(next.private))
	}
	if !bytes.Equal(next.jwks, old.jwks) {
		f.set.Store(next)
	}
	return err
}

// report logs an error once, not every two seconds.
func (f *Folder) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	f.mu.Lock()
	changed := f.reported != text
	f.reported = text
	f.mu.Unlock()
	if changed && err != nil {
		f.log.Error("keys not all readable", "error", err)
	}
}
