package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

func TestWithTLSNothingIsReachedInPlainText(t *testing.T) {
	setUp(t, "TLS=yes")
	conf, secrets := rendered(t)
	for _, files := range []deploy.Files{conf, secrets} {
		for name, file := range files {
			for _, plain := range plainText {
				if strings.Contains(file.Content, plain) && !strings.HasPrefix(name, "haproxy/static") {
					t.Errorf("%s has %q", name, plain)
				}
			}
		}
	}
	for name, want := range map[string]string{
		"redis.conf": "\nport 0\n", "users.acl": "user default off resetpass ", "pgpool/pgpool.conf": "\nssl = on\n", "node1/postgresql.conf": "\nssl = on\n",
		"haproxy/haproxy.cfg": "ssl verify required ca-file /conf/tls/ca.crt verifyhost query", "prometheus/prometheus.yml": "scheme: https",
	} {
		if !strings.Contains(conf[name].Content, want) {
			t.Errorf("%s lacks %q", name, want)
		}
	}
}

// Certificates that are good for long stay as they are, unless they are renewed by hand. The authority always stays.
func TestCertificatesAreMadeOnce(t *testing.T) {
	p := renderedStack(t, "TLS=yes")
	read := func() (authority, node string) {
		t.Helper()
		a, err := os.ReadFile(filepath.Join(p.conf, "tls", "ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := os.ReadFile(filepath.Join(p.conf, "tls", "node1.pem"))
		if err != nil {
			t.Fatal(err)
		}
		return string(a), string(n)
	}
	authority, node := read()
	for _, c := range []struct{ renew, same bool }{{false, true}, {true, false}} {
		if err := renderAll(c.renew); err != nil {
			t.Fatal(err)
		}
		if a, n := read(); a != authority || (n == node) != c.same {
			t.Errorf("renew %v: the authority stays %v, the certificate stays %v", c.renew, a == authority, n == node)
		}
	}
	if info, err := os.Stat(filepath.Join(p.conf, "tls", "node1.pem")); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// While passwords are changed Redis knows both. A change that was broken off goes on with the passwords that it has made.
func TestNewPasswordsKeepTheLastOnes(t *testing.T) {
	p := renderedStack(t, "TLS=yes")
	folder := filepath.Join(p.dir, "secrets")
	var before string
	for range 2 {
		if err := newPasswords(folder); err != nil {
			t.Fatal(err)
		}
		all, err := readPasswords(folder, roles)
		if err != nil {
			t.Fatal(err)
		}
		if now := all["query"]; now == "of-query" || all["query.last"] != "of-query" || before != "" && now != before {
			t.Errorf("%s, and before %s; the run before had made %s", now, all["query.last"], before)
		}
		before = all["query"]
	}
	if err := renderAll(false); err != nil {
		t.Fatal(err)
	}
	users, err := os.ReadFile(filepath.Join(p.conf, "users.acl"))
	if err != nil || strings.Count(string(users), " #") != 6 {
		t.Errorf("%v\n%s", err, users)
	}
}

func TestRotateSaysWhatItCan(t *testing.T) {
	setUp(t)
	for what, want := range map[string]string{"": "certificates, passwords", "certificates": "TLS=1"} {
		if err := rotate(t.Context(), what); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", what, err)
		}
	}
}
