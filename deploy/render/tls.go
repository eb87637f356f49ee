package main

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/deploy/certs"
)

// parts have certificates. Those of the user that PostgreSQL and pgpool-II run as are true.
var parts = map[string]bool{
	"node1": true, "node2": true, "witness": true, "pgpool": true,
	"redis": false, "haproxy": false, "command": false, "query": false, "replicator": false, "prometheus": false, "exporter": false,
}

const authorityFile = "ca.pem" // in the folder SECRETS

// tls is nil if the stack speaks plain text.
func (s stack) tls(part string) *deploy.TLS {
	if s.TLS != "yes" {
		return nil
	}
	return &deploy.TLS{CA: filepath.Join(s.Conf, "tls", "ca.crt"), File: filepath.Join(s.Conf, "tls", part+".pem")}
}

// scheme is that of a URL: http or redis, with an s at its end if TLS is spoken.
func (s stack) scheme(plain string) string {
	if s.TLS == "yes" {
		return plain + "s"
	}
	return plain
}

func (s stack) databaseURL(role string, servers []deploy.Address, parameters ...string) string {
	return deploy.DatabaseURL(role, s.passwords[role], servers, append(parameters, s.tls("").Parameters()...)...)
}

// redisURL has a user and a password with TLS, and a password alone if Redis has one for all.
func (s stack) redisURL(user string) string {
	u := url.URL{Scheme: s.scheme("redis"), Host: deploy.Address{Host: s.host("redis"), Port: s.RedisPort}.String(), Path: "/0"}
	switch password := s.passwords[redisPassword]; {
	case s.TLS == "yes":
		u.User = url.UserPassword(user, s.passwords[user])
	case password != "":
		u.User = url.UserPassword("", password)
	}
	return u.String()
}

// redisPasswords are those of the users of Redis. While a password is changed, the last one is good, too.
func (s stack) redisPasswords() map[string][]string {
	all := map[string][]string{}
	for _, user := range []string{"query", "replicator", "operator"} {
		all[user] = []string{s.passwords[user]}
		if last := s.passwords[user+".last"]; last != "" {
			all[user] = append(all[user], last)
		}
	}
	return all
}

// serving is what a service needs to speak TLS. Go's programs trust the authorities of SSL_CERT_FILE alone if SSL_CERT_DIR
// is no folder.
func (s stack) serving(service string) deploy.Environment {
	t := s.tls(service)
	if t == nil {
		return nil
	}
	return append(s.trusting(), "TLS_FILE="+t.File)
}

// trusting makes a program of Go trust the stack's authority and no other.
func (s stack) trusting() deploy.Environment {
	return deploy.Environment{"SSL_CERT_FILE=" + s.tls("").CA, "SSL_CERT_DIR=" + os.DevNull}
}

// certificates adds the certificates that are missing or due, or all if renew says so. The certificates that are still
// good stay as they are.
func (s stack) certificates(conf, secrets deploy.Files, renew bool, now time.Time) error {
	if s.TLS != "yes" {
		return nil
	}
	authority, err := s.authority(secrets, now)
	if err != nil {
		return err
	}
	conf["tls/ca.crt"] = deploy.File{Content: authority.Certificate(), Mode: 0o644}
	for part, postgres := range parts {
		text, err := readIfThere(s.tls(part).File)
		if err != nil {
			return err
		}
		if renew || authority.Due([]byte(text), part, now) {
			if text, err = authority.Issue(part, now); err != nil {
				return err
			}
		}
		conf[filepath.Join("tls", part+".pem")] = deploy.File{Content: text, Mode: 0o600, Postgres: postgres}
	}
	return nil
}

func (s stack) authority(secrets deploy.Files, now time.Time) (*certs.Authority, error) {
	text, err := readIfThere(filepath.Join(s.Secrets, authorityFile))
	if err != nil {
		return nil, err
	}
	if text == "" {
		made, err := certs.NewAuthority(now)
		if err != nil {
			return nil, err
		}
		if text, err = made.PEM(); err != nil {
			return nil, err
		}
	}
	secrets[authorityFile] = deploy.File{Content: text, Mode: 0o600}
	return certs.ParseAuthority([]byte(text))
}

// readIfThere returns "" for a file that does not exist.
func readIfThere(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}
