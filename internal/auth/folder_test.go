package auth

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// The example of RFC 8037, appendix A.2, with a key id, among keys that are to be ignored.
func TestParseJWKS(t *testing.T) {
	const x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
	keys, err := ParseJWKS([]byte(`{"keys":[
		{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"},
		{"kty":"OKP","crv":"X25519","kid":"x","x":"` + x + `"},
		{"kty":"OKP","crv":"Ed25519","kid":"enc","use":"enc","x":"` + x + `"},
		{"kty":"OKP","crv":"Ed25519","kid":"urn:of a later release","x":"` + x + `"},
		{"kty":"AKP","alg":"ML-DSA-65","kid":"later","pub":"AAAA","new":[1]},
		{"kty":"OKP","crv":"Ed25519","kid":"a","x":"` + x + `","new":{"of":"a later release"}}],"new":7}`))
	if err != nil || len(keys) != 1 || keys["a"][0] != 0xd7 || keys["a"][31] != 0x1a {
		t.Errorf("got %x, %v", keys, err)
	}
	for _, bad := range []string{
		``, `[]`, `{"keys":{}}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AAAA"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"","x":"` + x + `"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"` + x + `"},{"kty":"OKP","crv":"Ed25519","kid":"a","x":"` + x + `"}]}`,
	} {
		if keys, err := ParseJWKS([]byte(bad)); err == nil {
			t.Errorf("%s: got %v", bad, keys)
		}
	}
}

func TestStartersAgreeOnTheFirstKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "jwt")
	folders := make([]*Folder, 8)
	var wg sync.WaitGroup
	for i := range folders {
		wg.Go(func() {
			var err error
			if folders[i], err = OpenFolder(dir, slog.New(slog.DiscardHandler)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	info, err := files[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, f := range folders {
		if string(f.JWKS()) != string(folders[0].JWKS()) {
			t.Errorf("keys differ: %s and %s", f.JWKS(), folders[0].JWKS())
		}
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	f.settle = time.Second
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	signer, v := NewSigner(f, time.Hour, time.Now), NewVerifier(f, time.Now)
	old, err := signer.Sign(1, RoleBidder)
	if err != nil {
		t.Fatal(err)
	}
	first, _, err := f.signing()
	if err != nil {
		t.Fatal(err)
	}
	if err := makeKey(dir, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the new key signs", func() bool {
		kid, _, err := f.signing()
		return err == nil && kid != first
	})
	fresh, err := signer.Sign(1, RoleBidder)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"old": old, "new": fresh} {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s token: %v", name, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, first+keyFileSuffix)); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the old key's tokens are refused", func() bool {
		_, err := v.Verify(t.Context(), old)
		return errors.Is(err, ErrToken)
	})
	if _, err := v.Verify(t.Context(), fresh); err != nil {
		t.Errorf("new token after the old key went: %v", err)
	}
}

// Another process signs with a key that this one has not seen yet.
func TestUnknownKeyIsLookedUpAtOnce(t *testing.T) {
	dir := t.TempDir()
	here := openFolder(t, dir)
	v := NewVerifier(here, time.Now)
	if err := makeKey(dir, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	other := openFolder(t, dir)
	other.settle = -time.Minute
	if err := other.reload(); err != nil {
		t.Fatal(err)
	}
	token, err := NewSigner(other, time.Hour, time.Now).Sign(1, RoleBidder)
	if err != nil {
		t.Fatal(err)
	}
	testenv.EventuallyNoError(t, time.Second, "the token is accepted", func() error {
		_, err := v.Verify(t.Context(), token)
		return err
	})
}

func TestBrokenKeyFiles(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	kid, _, err := f.signing()
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("zzz.pem", "half a key")
	write(kid+keyFileSuffix, "overwritten")
	write("notes.txt", "no key")
	if err := f.reload(); err == nil {
		t.Error("broken files are not reported")
	}
	if now, _, err := f.signing(); err != nil || now != kid {
		t.Errorf("signs with %q, %v; want the key known before", now, err)
	}
	if _, err := OpenFolder(dir, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a folder of broken files was opened")
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "zzz.pem")), os.Remove(filepath.Join(dir, kid+keyFileSuffix))); err != nil {
		t.Fatal(err)
	}
	if err := f.reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := NewSigner(f, time.Hour, time.Now).Sign(1, RoleBidder); !errors.Is(err, ErrNoKey) {
		t.Errorf("signing without keys: %v", err)
	}
}

// Other services must know a key before they see its tokens.
func TestANewKeyIsPublishedBeforeItSigns(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	first, _, err := f.signing()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(makeKey(dir, time.Now().Add(time.Hour)), f.reload()); err != nil {
		t.Fatal(err)
	}
	published, err := ParseJWKS(f.JWKS())
	if kid, _, signErr := f.signing(); err != nil || signErr != nil || len(published) != 2 || kid != first {
		t.Errorf("%d keys, %v; signs with %s, %v; want 2 and %s", len(published), err, kid, signErr, first)
	}
	if _, _, err := openFolder(t, dir).signing(); err != nil {
		t.Error(err)
	}
}

// A key goes once its successor is older than any token.
func TestRotateRemovesKeysThatNoTokenNeeds(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	var names []string
	for i, age := range []time.Duration{72 * time.Hour, 48 * time.Hour, time.Hour} {
		if err := makeKey(dir, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
		if err != nil || len(files) != i+1 {
			t.Fatalf("%v, %v", files, err)
		}
		if err := os.Chtimes(files[i], now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
		names = files
	}
	if err := Rotate(dir, now, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	if err != nil || len(files) != 3 || files[0] != names[1] || files[1] != names[2] {
		t.Errorf("%v, %v; want the last two of %v and a new one", files, err, names)
	}
}
