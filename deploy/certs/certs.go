// Package certs makes the private certificate authority of a stack and the certificates of its parts.
//
// A certificate and its key are one PEM text, so that a reader of the file never sees one without the other while
// they are renewed.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// Life is how long a part's certificate is valid. It is due once a third of this time is left.
	Life = 90 * 24 * time.Hour
	// early lets clocks differ.
	early = time.Hour
)

const certBlock, keyBlock = "CERTIFICATE", "PRIVATE KEY"

// Authority signs the certificates of the parts.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority with a key of its own.
func NewAuthority(now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	cert, err := template("Stock Pyramid CA", now, authorityLife)
	if err != nil {
		return nil, err
	}
	cert.IsCA, cert.BasicConstraintsValid, cert.MaxPathLenZero = true, true, true
	cert.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	cert, err = x509.ParseCertificate(der)
	return &Authority{cert, key}, err
}

// ParseAuthority reads what PEM has written.
func ParseAuthority(text []byte) (*Authority, error) {
	cert, key, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if !cert.IsCA {
		return nil, errors.New("certificate authority: the certificate is not one of an authority")
	}
	return &Authority{cert, key}, nil
}

// PEM is the certificate and the key. Only who issues certificates may read it.
func (a *Authority) PEM() (string, error) { return encode(a.cert.Raw, a.key) }

// Certificate is what clients trust, as PEM.
func (a *Authority) Certificate() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: a.cert.Raw}))
}

// Issue makes a key and a certificate for a server of that name. The server is also known by the other hosts, which are
// names or addresses, as localhost and by the loopback addresses.
func (a *Authority) Issue(name string, now time.Time, hosts ...string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("certificate of %s: %w", name, err)
	}
	cert, err := template(name, now, Life)
	if err != nil {
		return "", err
	}
	cert.DNSNames = []string{name, "localhost"}
	cert.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, host)
		}
	}
	cert.KeyUsage = x509.KeyUsageDigitalSignature
	cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	if err != nil {
		return "", fmt.Errorf("certificate of %s: %w", name, err)
	}
	return encode(der, key)
}

// Due says whether a new certificate is needed in the place of this one: the text is no certificate of the name and the
// hosts by this authority, or less than a third of its life is left.
func (a *Authority) Due(text []byte, name string, now time.Time, hosts ...string) bool {
	cert, _, err := parse(text)
	if err != nil || cert.CheckSignatureFrom(a.cert) != nil {
		return true
	}
	for _, host := range append([]string{name}, hosts...) {
		if cert.VerifyHostname(host) != nil {
			return true
		}
	}
	return now.Before(cert.NotBefore) || cert.NotAfter.Sub(now) < Life/3
}

func template(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-early), NotAfter: now.Add(life),
	}, nil
}

func encode(cert []byte, key *ecdsa.PrivateKey) (string, error) {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("private key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: cert})) +
		string(pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: private})), nil
}

func parse(text []byte) (cert *x509.Certificate, key *ecdsa.PrivateKey, err error) {
	first, rest := pem.Decode(text)
	second, _ := pem.Decode(rest)
	if first == nil || second == nil || first.Type != certBlock || second.Type != keyBlock {
		return nil, nil, errors.New("there is not a certificate and then its key")
	}
	if cert, err = x509.ParseCertificate(first.Bytes); err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(second.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, errors.New("the key is not the certificate's")
	}
	return cert, key, nil
}
