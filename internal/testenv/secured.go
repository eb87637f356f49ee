package testenv

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"time"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// secured is the certificate of a server and what its own clients here must know.
type secured struct{ authority, pem string }

// Secured makes a server speak TLS only, with a certificate and its key as one PEM text. The authority is the
// certificate, as PEM, by which this package knows the server.
func Secured(authority, pem string) Option {
	return func(o *options) { o.secured = &secured{authority, pem} }
}

// files writes the files of a server into its folder. A server in plain text has none.
func (s *secured) files(dir string, owner *owner) (*deploy.TLS, error) {
	if s == nil {
		return nil, nil
	}
	t := &deploy.TLS{CA: filepath.Join(dir, "ca.crt"), File: filepath.Join(dir, "server.pem")}
	return t, writeFiles(deploy.Files{
		"ca.crt": {Content: s.authority, Mode: 0o644, Postgres: true}, "server.pem": {Content: s.pem, Mode: 0o600, Postgres: true},
	}, dir, owner)
}

// parameters are those of a connection string of PostgreSQL.
func (s *secured) parameters(dir string) string {
	if s == nil {
		return "sslmode=disable"
	}
	return "sslmode=verify-full&sslrootcert=" + filepath.Join(dir, "ca.crt")
}

// dial is for the question whether a server is up. It trusts any certificate, because tests use wrong ones.
func (s *secured) dial(address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: time.Second}
	if s == nil {
		return dialer.Dial("tcp", address)
	}
	return tls.DialWithDialer(dialer, "tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
}
