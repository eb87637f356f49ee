package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// Every container knows the authority, and its certificate is for all names and addresses that it is found by.
func TestContainersHaveCertificates(t *testing.T) {
	c, files := readCompose(t), composeRendered(t)
	for part, hosts := range map[string][]string{
		"node1": {"172.29.2.11"}, "witness": nil, "pgpool": nil, "redis": {"172.29.2.16"}, "haproxy": {"172.29.1.10"}, "prometheus": nil,
		"command": {"command-2", "172.29.1.12"}, "query": {"query-1"}, "replicator": {"172.29.2.32"}, "exporter": {"exporter-2"},
	} {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(files[part+"/ca.crt"].Content))
		text := []byte(files[part+"/tls.pem"].Content)
		pair, err := tls.X509KeyPair(text, text)
		if err != nil {
			t.Fatalf("%s: %v", part, err)
		}
		for _, host := range append(hosts, part, "127.0.0.1") {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
				t.Errorf("%s as %s: %v", part, host, err)
			}
		}
	}
	for name, s := range c.Services {
		for _, file := range readByCheck.FindAllString(fmt.Sprint(s.Healthcheck), -1) {
			if files[strings.TrimPrefix(file, "/conf/")].Content == "" {
				t.Errorf("the check of %s reads %s, which nobody writes", name, file)
			}
		}
	}
}

var readByCheck = regexp.MustCompile(`/conf/[a-z/.]+`)

// plainText is what must not be in a file of a stack with TLS.
var plainText = []string{"sslmode=disable", "http://", "redis://", "\nhost   all          all", "\nhost   replication", "default on", "requirepass"}

func TestContainersSpeakTLSOnly(t *testing.T) {
	for name, file := range composeRendered(t) {
		for _, plain := range plainText {
			if strings.Contains(file.Content, plain) && !strings.HasPrefix(name, "haproxy/static") {
				t.Errorf("%s has %q", name, plain)
			}
		}
	}
}
