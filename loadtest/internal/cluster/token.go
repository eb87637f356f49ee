package cluster

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// TokenFileVar and TokenVar name the environment variables that hold the token's file or the token.
const (
	TokenFileVar = "LOADTEST_TOKEN_FILE"
	TokenVar     = "LOADTEST_TOKEN"
)

// minToken is the least length of a token: 128 bits in base64 are 22 characters.
const minToken = 22

// Token is the secret that agents and their controller share. An agent does whatever its holder asks, on
// the network it is in. It is sent as it is: outside of loopback the channel belongs into a tunnel.
type Token string

// ReadToken takes the token from the environment. There is no flag for it: others see a process's arguments.
func ReadToken() (Token, error) {
	token := os.Getenv(TokenVar)
	if name := os.Getenv(TokenFileVar); name != "" {
		raw, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("token: %w", err)
		}
		token = strings.TrimSpace(string(raw))
	}
	if token == "" {
		return "", errors.New("set " + TokenFileVar + " or " + TokenVar + " to the secret of agents and controller")
	}
	if len(token) < minToken {
		return "", fmt.Errorf("the token has %d characters, at least %d are needed: openssl rand -base64 24 makes one", len(token), minToken)
	}
	return Token(token), nil
}

const scheme = "Bearer "

// allows reports whether the request carries the token. Hashing first hides the token's length, too.
func (t Token) allows(r *http.Request) bool {
	got, ok := strings.CutPrefix(r.Header.Get("Authorization"), scheme)
	want, have := sha256.Sum256([]byte(t)), sha256.Sum256([]byte(got))
	return subtle.ConstantTimeCompare(want[:], have[:]) == 1 && ok && t != ""
}
