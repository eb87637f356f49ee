package account

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

const (
	familyBytes = 16
	secretBytes = 32
	nonceBytes  = 32
)

// refreshToken is the random id of its family and then a secret of its own. Nobody guesses the id, so whoever names a
// family has held a token of it. Therefore a token that is not the family's newest is an old one.
type refreshToken [familyBytes + secretBytes]byte

// newRefreshToken returns the first token of a new family.
func newRefreshToken() (t refreshToken) {
	rand.Read(t[:]) // never fails: see crypto/rand
	return t
}

// parseRefreshToken returns false for a text that String has not made.
func parseRefreshToken(text string) (t refreshToken, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(t) {
		return t, false
	}
	copy(t[:], b)
	return t, t.String() == text // Go's decoder ignores line ends
}

// String is the token as its client has it.
func (t refreshToken) String() string { return base64.RawURLEncoding.EncodeToString(t[:]) }

func (t refreshToken) family() []byte { return t[:familyBytes] }

// hash is what the database knows of the token. The token is random, so a fast hash can't be reversed.
func (t refreshToken) hash() []byte {
	sum := sha256.Sum256(t[:])
	return sum[:]
}

// next is the token that this one is traded for. Its secret is a message authentication code of the nonce with this token as
// the key (RFC 2104). So the same token and nonce lead to the same next token, which need not be stored, and the nonce alone
// leads to none.
func (t refreshToken) next(nonce []byte) (n refreshToken) {
	code := hmac.New(sha256.New, t[:])
	code.Write(nonce)
	copy(n[:], t.family())
	copy(n[familyBytes:], code.Sum(nil))
	return n
}

func newNonce() []byte {
	nonce := make([]byte, nonceBytes)
	rand.Read(nonce)
	return nonce
}
