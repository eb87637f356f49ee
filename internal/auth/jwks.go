package auth

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// jwk is an Ed25519 public key as RFC 8037, section 2 writes it.
type jwk struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	Algorithm string `json:"alg,omitempty"`
	Use       string `json:"use,omitempty"`
	KeyID     string `json:"kid"`
	X         string `json:"x"`
}

type jwkSet struct {
	Keys []jwk `json:"keys"`
}

func marshalJWKS(private map[string]ed25519.PrivateKey) ([]byte, error) {
	set := jwkSet{Keys: []jwk{}}
	for _, kid := range slices.Sorted(maps.Keys(private)) {
		x := base64.RawURLEncoding.EncodeToString(private[kid].Public().(ed25519.PublicKey))
		set.Keys = append(set.Keys, jwk{KeyType: "OKP", Curve: "Ed25519", Algorithm: "EdDSA", Use: "sig", KeyID: kid, X: x})
	}
	doc, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	return doc, nil
}

// ParseJWKS returns the Ed25519 signature keys of a JWKS document by key id. Keys of other kinds are ignored, as RFC
// 7517, section 5 says, and keys whose ids no release up to this one makes. A malformed Ed25519 key is an error.
func ParseJWKS(doc []byte) (map[string]ed25519.PublicKey, error) {
	var set jwkSet
	if err := json.Unmarshal(doc, &set); err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	keys := make(map[string]ed25519.PublicKey, len(set.Keys))
	for _, k := range set.Keys {
		forUs := (k.KeyID == "" || validKeyID(k.KeyID)) && k.KeyType == "OKP" && k.Curve == "Ed25519" &&
			(k.Use == "" || k.Use == "sig") && (k.Algorithm == "" || k.Algorithm == "EdDSA")
		if !forUs {
			continue
		}
		x, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
		if err != nil || len(x) != ed25519.PublicKeySize || k.KeyID == "" {
			return nil, fmt.Errorf("jwks: key %q is malformed", k.KeyID)
		}
		if _, twice := keys[k.KeyID]; twice {
			return nil, fmt.Errorf("jwks: key id %q is there twice", k.KeyID)
		}
		keys[k.KeyID] = x
	}
	return keys, nil
}
