// Package auth makes and checks the proofs of who a caller is: EdDSA tokens (JWT, RFC 7519 and RFC 8037) with their
// signing keys, and argon2id password hashes as PHC strings.
//
// A Folder holds the private keys and a Signer makes tokens with the newest of them. A Verifier
// checks tokens against any KeySource: that folder, or a published JWKS document.
package auth

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"
)

// Issuer and Audience are the iss and aud that every token must have.
const (
	Issuer   = "stock-pyramid"
	Audience = "stock-pyramid"
)

// Roles of a user, as in the table users.
const (
	RoleBidder = "bidder"
	RoleAdmin  = "admin"
)

// Identity is who a token speaks for.
type Identity struct {
	UserID  int64
	Role    string // RoleBidder or RoleAdmin
	Expires time.Time
}

var (
	// ErrToken is any token that proves nothing: malformed, expired, foreign, or of an unknown key.
	ErrToken = errors.New("token not accepted")
	// ErrUnknownKey is a key id that the source doesn't have.
	ErrUnknownKey = errors.New("unknown key id")
	// ErrNoKey is a folder without a usable key, so that nothing can be signed.
	ErrNoKey = errors.New("no key to sign with")
)

// KeySource finds public keys. Key is called for each token, cached or not, so it must answer a known
// kid from memory.
type KeySource interface {
	// Key returns the key of a key id, or ErrUnknownKey. Any other error means that the source can't
	// tell now, and is passed on by Verifier as it is.
	Key(ctx context.Context, kid string) (ed25519.PublicKey, error)
}

// validKeyID keeps key ids fit for file names, log lines and headers.
func validKeyID(kid string) bool {
	if len(kid) == 0 || len(kid) > 64 || kid[0] == '.' {
		return false
	}
	for i := range len(kid) {
		c := kid[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
