package auth

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	maxToken = 4 << 10 // bytes; ours have about 300
	// Two generations of this many tokens take about 20 MB.
	cacheGeneration = 50_000
)

// Verifier checks tokens. It caches accepted tokens until they expire, because a signature check takes 54 us. It is
// safe for concurrent use.
type Verifier struct {
	keys   KeySource
	now    func() time.Time
	parser *jwt.Parser
	cache  *cache
}

// NewVerifier makes a verifier of tokens signed with a key of the source.
func NewVerifier(keys KeySource, now func() time.Time) *Verifier {
	return &Verifier{keys: keys, now: now, cache: newCache(cacheGeneration), parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithExpirationRequired(),
		jwt.WithIssuer(Issuer),
		jwt.WithAudience(Audience),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(now),
	)}
}

// Verify returns whom a token speaks for. The error wraps ErrToken unless the key source failed.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if len(token) > maxToken {
		return Identity{}, fmt.Errorf("%w: %d bytes", ErrToken, len(token))
	}
	sum := sha256.Sum256([]byte(token))
	if c, ok := v.cache.get(sum); ok {
		// If the key was removed or replaced, a cached token no longer counts.
		key, err := v.keys.Key(ctx, c.kid)
		if err == nil && bytes.Equal(key, c.key) && v.now().Before(c.who.Expires) {
			return c.who, nil
		}
		v.cache.drop(sum)
	}
	checked, err := v.check(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	v.cache.put(sum, checked)
	return checked.who, nil
}

// sourceError is a failure of the key source, as opposed to a fault of the token.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

func (v *Verifier) check(ctx context.Context, token string) (checkedToken, error) {
	var c claims
	var out checkedToken
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		var err error
		out.kid, out.key, err = v.keyOf(ctx, t.Header)
		return out.key, err
	})
	var source sourceError
	if errors.As(err, &source) {
		return out, fmt.Errorf("keys: %w", source.error)
	}
	if err == nil {
		out.who, err = c.identity()
	}
	if err != nil {
		return out, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return out, nil
}

func (v *Verifier) keyOf(ctx context.Context, header map[string]any) (string, ed25519.PublicKey, error) {
	// RFC 7515, section 4.1.11: an extension that isn't understood makes the token invalid.
	if _, ok := header["crit"]; ok {
		return "", nil, errors.New("critical header")
	}
	kid, ok := header["kid"].(string)
	if !ok || !validKeyID(kid) {
		return "", nil, errors.New("no usable kid")
	}
	key, err := v.keys.Key(ctx, kid)
	if err != nil && !errors.Is(err, ErrUnknownKey) {
		err = sourceError{err}
	}
	return kid, key, err
}

func (c *claims) identity() (Identity, error) {
	id, err := strconv.ParseInt(c.Subject, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != c.Subject {
		return Identity{}, errors.New("sub is not a user id")
	}
	if c.Role != RoleBidder && c.Role != RoleAdmin {
		return Identity{}, errors.New("no known role")
	}
	return Identity{UserID: id, Role: c.Role, Expires: c.ExpiresAt.Time}, nil
}
