package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// mapSource is a key source with fixed keys, as a parsed JWKS document has them.
type mapSource map[string]ed25519.PublicKey

func (m mapSource) Key(_ context.Context, kid string) (ed25519.PublicKey, error) {
	if key, ok := m[kid]; ok {
		return key, nil
	}
	return nil, ErrUnknownKey
}

type failingSource struct{ error }

func (f failingSource) Key(context.Context, string) (ed25519.PublicKey, error) { return nil, f.error }

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

var start = time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC)

func openFolder(t testing.TB, dir string) *Folder {
	t.Helper()
	f, err := OpenFolder(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTokenRoundTripThroughJWKS(t *testing.T) {
	c := &clock{start}
	folder := openFolder(t, t.TempDir())
	token, err := NewSigner(folder, time.Hour, c.now).Sign(42, RoleAdmin)
	if err != nil {
		t.Fatal(err)
	}
	published, err := ParseJWKS(folder.JWKS())
	if err != nil || len(published) != 1 {
		t.Fatalf("published keys %v, error %v", published, err)
	}
	want := Identity{UserID: 42, Role: RoleAdmin, Expires: start.Add(time.Hour)}
	for name, source := range map[string]KeySource{"folder": folder, "JWKS": mapSource(published)} {
		v := NewVerifier(source, c.now)
		for range 2 { // the second time from the cache
			got, err := v.Verify(t.Context(), token)
			if err != nil || got.UserID != want.UserID || got.Role != want.Role || !got.Expires.Equal(want.Expires) {
				t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
			}
		}
	}
}

func TestBadTokens(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, foreign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := key.Public().(ed25519.PublicKey)
	v := NewVerifier(mapSource{"k1": public}, func() time.Time { return start })
	type change func(header, claims map[string]any)
	sign := func(method jwt.SigningMethod, with any, changes ...change) string {
		token := jwt.NewWithClaims(method, jwt.MapClaims{
			"iss": Issuer, "aud": Audience, "sub": "42", "role": "bidder", "exp": start.Add(time.Minute).Unix()})
		token.Header["kid"] = "k1"
		for _, c := range changes {
			c(token.Header, token.Claims.(jwt.MapClaims))
		}
		s, err := token.SignedString(with)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	claim := func(name string, value any) string {
		return sign(jwt.SigningMethodEdDSA, key, func(_, c map[string]any) {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		})
	}
	header := func(name string, value any) string {
		return sign(jwt.SigningMethodEdDSA, key, func(h, _ map[string]any) {
			if h[name] = value; value == nil {
				delete(h, name)
			}
		})
	}
	good := sign(jwt.SigningMethodEdDSA, key)
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatalf("the good token: %v", err)
	}
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"empty":            "",
		"text":             "not a token",
		"two parts":        parts[0] + "." + parts[1],
		"no signature":     parts[0] + "." + parts[1] + ".",
		"cut signature":    good[:len(good)-4],
		"other claims":     parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"1"}`)) + "." + parts[2],
		"too long":         good + strings.Repeat("A", maxToken),
		"alg none":         sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"alg HS256":        sign(jwt.SigningMethodHS256, []byte(public)),
		"foreign key":      sign(jwt.SigningMethodEdDSA, foreign),
		"unknown kid":      header("kid", "k2"),
		"no kid":           header("kid", nil),
		"number as kid":    header("kid", 1),
		"path as kid":      header("kid", "../k1"),
		"critical header":  header("crit", []string{"x"}),
		"expired":          claim("exp", start.Unix()),
		"no exp":           claim("exp", nil),
		"text as exp":      claim("exp", "soon"),
		"not yet":          claim("nbf", start.Add(time.Second).Unix()),
		"other issuer":     claim("iss", "somebody"),
		"no issuer":        claim("iss", nil),
		"other audience":   claim("aud", "somebody"),
		"no audience":      claim("aud", nil),
		"no sub":           claim("sub", nil),
		"zero sub":         claim("sub", "0"),
		"negative sub":     claim("sub", "-1"),
		"sub with sign":    claim("sub", "+42"),
		"sub out of range": claim("sub", "9223372036854775808"),
		"no role":          claim("role", nil),
		"unknown role":     claim("role", "root"),
	} {
		if who, err := v.Verify(t.Context(), token); !errors.Is(err, ErrToken) {
			t.Errorf("%s: got %+v, error %v, want ErrToken", name, who, err)
		}
	}
}

func TestCachedTokenEndsWithItsTimeAndItsKey(t *testing.T) {
	c := &clock{start}
	folder := openFolder(t, t.TempDir())
	token, err := NewSigner(folder, time.Hour, c.now).Sign(1, RoleBidder)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseJWKS(folder.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	source := mapSource(keys)
	v := NewVerifier(source, c.now)
	verify := func() error { _, err := v.Verify(t.Context(), token); return err }
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	c.at = start.Add(time.Hour)
	if err := verify(); !errors.Is(err, ErrToken) {
		t.Errorf("expired in the cache: %v", err)
	}
	c.at = start
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	for kid := range source {
		source[kid] = make(ed25519.PublicKey, ed25519.PublicKeySize)
	}
	if err := verify(); !errors.Is(err, ErrToken) {
		t.Errorf("key replaced under its id: %v", err)
	}
	clear(source)
	if err := verify(); !errors.Is(err, ErrToken) {
		t.Errorf("key gone: %v", err)
	}
	if n := v.cache.len(); n != 0 {
		t.Errorf("%d tokens left in the cache", n)
	}
}

func TestSourceFailureIsNotTheTokensFault(t *testing.T) {
	token, err := NewSigner(openFolder(t, t.TempDir()), time.Hour, time.Now).Sign(1, RoleBidder)
	if err != nil {
		t.Fatal(err)
	}
	down := errors.New("down")
	_, err = NewVerifier(failingSource{down}, time.Now).Verify(t.Context(), token)
	if !errors.Is(err, down) || errors.Is(err, ErrToken) {
		t.Errorf("got %v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(10)
	var first [32]byte
	c.put(first, checkedToken{})
	for i := range 1000 {
		c.put([32]byte{1, byte(i), byte(i >> 8)}, checkedToken{})
		if _, ok := c.get(first); !ok {
			t.Fatalf("a token in use was dropped after %d others", i)
		}
		if n := c.len(); n > 20 {
			t.Fatalf("%d tokens", n)
		}
	}
}

func FuzzVerify(f *testing.F) {
	folder := openFolder(f, f.TempDir())
	good, err := NewSigner(folder, time.Hour, func() time.Time { return start }).Sign(7, RoleBidder)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	v := NewVerifier(folder, func() time.Time { return start })
	f.Fuzz(func(t *testing.T, token string) {
		who, err := v.Verify(t.Context(), token)
		if err == nil && token != good {
			t.Errorf("accepted %q as %+v", token, who)
		}
		if err != nil && !errors.Is(err, ErrToken) {
			t.Errorf("%q: %v", token, err)
		}
	})
}

func BenchmarkVerifyCached(b *testing.B) {
	folder := openFolder(b, b.TempDir())
	token, err := NewSigner(folder, time.Hour, time.Now).Sign(7, RoleBidder)
	if err != nil {
		b.Fatal(err)
	}
	v := NewVerifier(folder, time.Now)
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
