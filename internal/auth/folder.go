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
	// An unknown key id makes the folder be read early, because another process may sign with a key that is new
	// there, but not more often than this, because any forged token can have one.
	reloadAtMostEvery = 100 * time.Millisecond
	// publishedFirst is how long a new key is published before it signs. Other services read the published keys every
	// fetchEvery, so that they know the key when they see its first token.
	publishedFirst = 15 * time.Second
)

// Folder is a folder of private keys, one per file <kid>.pem, PKCS#8 Ed25519. All are published. The last key by file name
// signs, once its file is publishedFirst old. So a new file rotates the key, and removing a file invalidates the tokens
// that its key has signed.
type Folder struct {
	dir string
	log *slog.Logger
	// settle is publishedFirst.
	settle time.Duration
	set    atomic.Pointer[keySet]

	mu       sync.Mutex // held while the folder is read
	readAt   time.Time
	reported string
}

// keySet is what the folder held at one time.
type keySet struct {
	private map[string]ed25519.PrivateKey
	newest  string // the id of the key that signs
	jwks    []byte
}

// OpenFolder reads the keys of a folder, and makes the first one if there is none. Two processes that start at once
// agree on one key. A file that can't be read as a key is logged and left out.
func OpenFolder(dir string, log *slog.Logger) (*Folder, error) {
	if err := ensureKey(dir, time.Now()); err != nil {
		return nil, err
	}
	f := &Folder{dir: dir, log: log, settle: publishedFirst}
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

// reload replaces the keys by those in the folder. A known key whose file can't be read now stays.
func (f *Folder) reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readAt = time.Now()
	old := f.set.Load()
	next, err := readKeys(f.dir, old.private, f.readAt.Add(-f.settle))
	if next == nil {
		return err
	}
	if next.newest != old.newest {
		f.log.Info("signing key", "kid", next.newest, "keys", len(next.private))
	}
	if next.newest != old.newest || !bytes.Equal(next.jwks, old.jwks) {
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
