package auth

import (
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

type claims struct {
	Role string `json:"role"`
	jwt.RegisteredClaims
}

// Signer makes tokens with the newest key of a folder.
type Signer struct {
	keys *Folder
	ttl  time.Duration
	now  func() time.Time
}

// NewSigner makes a signer whose tokens are good for ttl, in whole seconds.
func NewSigner(keys *Folder, ttl time.Duration, now func() time.Time) *Signer {
	return &Signer{keys: keys, ttl: ttl.Truncate(time.Second), now: now}
}

// TTL is how long a token is good for.
func (s *Signer) TTL() time.Duration { return s.ttl }

// Sign makes a token for a user, or returns ErrNoKey.
func (s *Signer) Sign(userID int64, role string) (string, error) {
	kid, key, err := s.keys.signing()
	if err != nil {
		return "", err
	}
	now := s.now()
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{Role: role, RegisteredClaims: jwt.RegisteredClaims{
		Issuer:    Issuer,
		Audience:  jwt.ClaimStrings{Audience},
		Subject:   strconv.FormatInt(userID, 10),
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(s.ttl)),
	}})
	t.Header["kid"] = kid
	token, err := t.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign token of user %d: %w", userID, err)
	}
	return token, nil
}
