package cluster

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
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

var errToken = errors.New("the other side has another token: set " + TokenFileVar + " or " + TokenVar +
	" of the agents and of their controller to one secret")

// ReadChannel makes the TLS configuration of agents and their controller from the token, the secret that they share, in
// the environment. There is no flag for it, because others see a process's arguments.
func ReadChannel() (*tls.Config, error) {
	token := os.Getenv(TokenVar)
	if name := os.Getenv(TokenFileVar); name != "" {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		token = strings.TrimSpace(string(raw))
	}
	if token == "" {
		return nil, errors.New("set " + TokenFileVar + " or " + TokenVar + " to the secret of agents and controller")
	}
	return newChannel(token)
}

// newChannel lets each side derive one key pair from the token, show it in a certificate of its own, and take only a
// peer that has it too. An agent does whatever its controller asks, on the network that it is in. The token should be
// random: an attacker who reaches an agent sees the public key, and could find a guessable token by trying.
func newChannel(token string) (*tls.Config, error) {
	if len(token) < minToken {
		return nil, fmt.Errorf("the token has %d characters, at least %d are needed: openssl rand -base64 24 makes one", len(token), minToken)
	}
	seed, err := hkdf.Key(sha256.New, []byte(token), nil, "stock-pyramid loadtest agents", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("key of the token: %w", err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	// Only the certificate's key is looked at, so clocks that differ by years do no harm.
	form := new(x509.Certificate)
	certificate, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the token: %w", err)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // VerifyConnection does it for both sides
		VerifyConnection: func(s tls.ConnectionState) error {
			if peer, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey); !ok || !peer.Equal(key.Public()) {
				return errToken
			}
			return nil
		},
	}, nil
}
