package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const keyFileSuffix = ".pem"

// readKeys reads all keys of a folder. Of the keys that were written before settled the last one signs, otherwise the
// first of all. It returns nil if the folder can't be read. If single files can't be read, the
// error names them, and their keys are kept if they are in known.
func readKeys(dir string, known map[string]ed25519.PrivateKey, settled time.Time) (*keySet, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	set := &keySet{private: make(map[string]ed25519.PrivateKey)}
	var problems []error
	for _, e := range entries {
		kid, ok := strings.CutSuffix(e.Name(), keyFileSuffix)
		if !ok || !validKeyID(kid) {
			continue
		}
		key, err := readKey(filepath.Join(dir, e.Name()))
		if err != nil {
			problems = append(problems, err)
			if key, ok = known[kid]; !ok {
				continue
			}
		}
		set.private[kid] = key
		if info, err := e.Info(); set.newest == "" || err == nil && info.ModTime().Before(settled) {
			set.newest = kid
		}
	}
	set.jwks, err = marshalJWKS(set.private)
	return set, errors.Join(append(problems, err)...)
}

func readKey(path string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > 16<<10 {
		return nil, fmt.Errorf("key %s is not a small regular file", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("key %s holds no PEM block PRIVATE KEY", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key %s is a %T, not an Ed25519 key", path, parsed)
	}
	return key, nil
}

// ensureKey makes a key if the folder has none. Because of the lock, only one of several processes that start at once
// makes it.
func ensureKey(dir string, now time.Time) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if found, err := hasKeyFile(dir); found || err != nil {
		return err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	if found, err := hasKeyFile(dir); found || err != nil {
		return err
	}
	return makeKey(dir, now)
}

func hasKeyFile(dir string) (bool, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+keyFileSuffix))
	if err != nil {
		return false, fmt.Errorf("keys: %w", err)
	}
	return len(files) > 0, nil
}

// Rotate adds a key to a folder. It removes the keys whose successor is older than tokens live, because none of their
// tokens can be valid.
func Rotate(dir string, now time.Time, tokens time.Duration) error {
	if err := makeKey(dir, now); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"+keyFileSuffix)) // sorted
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	for i := 1; i < len(files); i++ {
		info, err := os.Stat(files[i])
		if err != nil {
			return fmt.Errorf("keys: %w", err)
		}
		if now.Sub(info.ModTime()) < tokens+publishedFirst {
			break
		}
		if err := os.Remove(files[i-1]); err != nil {
			return fmt.Errorf("old key: %w", err)
		}
	}
	return nil
}

// makeKey writes a new key whose name sorts after older ones. A reader sees the whole file or none.
func makeKey(dir string, now time.Time) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("new key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("new key: %w", err)
	}
	// A kid is never used twice, not even if the folder was emptied, because other services cache keys by kid.
	kid := now.UTC().Format("20060102T150405Z-") + hex.EncodeToString(key.Public().(ed25519.PublicKey)[:4])
	file, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return fmt.Errorf("new key: %w", err)
	}
	err = pem.Encode(file, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(dir, kid+keyFileSuffix))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("new key: %w", err), os.Remove(file.Name()))
	}
	return nil
}
