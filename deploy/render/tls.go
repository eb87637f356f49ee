package main

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/deploy/certs"
)

// parts have certificates. Those of the user that PostgreSQL and pgpool-II run as are true.
var parts = map[string]bool{
	"node1": true, "node2": true, "witness": true, "pgpool": true,
	"redis": false, "haproxy": false, "command": false, "query": false, "replicator": false, "prometheus": false, "alertmanager": false, "exporter": false,
}

const authorityFile = "ca.pem" // in the folder SECRETS

// tls is nil if the stack speaks plain text. If parts are apart, each has the files in a folder of its own.
func (s stack) tls(part string) *deploy.TLS {
	switch {
	case s.TLS != "yes":
		return nil
	case s.apart:
		return &deploy.TLS{CA: filepath.Join(s.Conf, part, "ca.crt"), File: filepath.Join(s.Conf, part, "tls.pem")}
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

// databaseURL has no password, because that is in the file of PGPASSFILE.
func (s stack) databaseURL(role string, servers []deploy.Address, parameters ...string) string {
	return deploy.DatabaseURL(role, "", servers, append(parameters, s.tls(role).Parameters()...)...)
}

// redisURL has a user and a password with TLS.
func (s stack) redisURL(user string) string {
	u := url.URL{Scheme: s.scheme("redis"), Host: deploy.Address{Host: s.host("redis"), Port: s.RedisPort}.String(), Path: "/0"}
	if s.TLS == "yes" {
		u.User = url.UserPassword(user, s.passwords[user])
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

// serving is what a service needs to speak TLS, and to trust the stack's authority and no other. Go's programs trust the
// authorities of SSL_CERT_FILE alone if SSL_CERT_DIR is no folder.
func (s stack) serving(service string) deploy.Environment {
	t := s.tls(service)
	if t == nil {
		return nil
	}
	return deploy.Environment{"SSL_CERT_FILE=" + t.CA, "SSL_CERT_DIR=" + os.DevNull, "TLS_FILE=" + t.File}
}

// hosts are the names and addresses of a part's containers. Tools outside of the containers use the addresses.
func (s stack) hosts(part string) (hosts []string) {
	if !s.apart {
		return nil
	}
	for _, host := range []string{part, part + "-1", part + "-2"} {
		if address := s.addresses[host]; address != "" {
			hosts = append(hosts, host, address)
		}
	}
	return hosts
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
	trust := deploy.File{Content: authority.Certificate(), Mode: 0o644}
	conf[s.inConf(s.tls("migrator").CA)] = trust // it serves nothing
	for part, postgres := range parts {
		conf[s.inConf(s.tls(part).CA)] = trust
		text, err := readIfThere(s.tls(part).File)
		if err != nil {
			return err
		}
		if renew || authority.Due([]byte(text), part, now, s.hosts(part)...) {
			if text, err = authority.Issue(part, now, s.hosts(part)...); err != nil {
				return err
			}
		}
		conf[s.inConf(s.tls(part).File)] = deploy.File{Content: text, Mode: 0o600, Postgres: postgres}
	}
	return nil
}

// inConf is a file's path within the folder of all configurations.
func (s stack) inConf(file string) string { return strings.TrimPrefix(file, s.Conf+"/") }

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
