package certs

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

func TestACertificateIsValidForItsNamesAndItsTime(t *testing.T) {
	now := time.Now()
	a, err := NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	text, err := a.Issue("node1", now, "first", "10.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(text), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(a.Certificate()))
	for _, c := range []struct {
		name  string
		at    time.Time
		valid bool
	}{
		{"node1", now, true}, {"localhost", now, true}, {"127.0.0.1", now, true}, {"first", now, true}, {"10.0.0.2", now, true},
		{"node2", now, false}, {"10.0.0.1", now, false}, {"node1", now.Add(Life + time.Second), false}, {"node1", now.Add(-2 * early), false},
	} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: c.name, CurrentTime: c.at})
		if (err == nil) != c.valid {
			t.Errorf("%s at %v: %v, want valid %v", c.name, c.at, err, c.valid)
		}
	}
}

func TestACertificateIsDueInTime(t *testing.T) {
	now := time.Now()
	a, other := authority(t), authority(t)
	text, err := a.Issue("node1", now)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		a    *Authority
		text string
		name string
		at   time.Time
		due  bool
	}{
		"new":                 {a, text, "node1", now, false},
		"two thirds are over": {a, text, "node1", now.Add(Life*2/3 + time.Minute), true},
		"another name":        {a, text, "node2", now, true},
		"another authority":   {other, text, "node1", now, true},
		"no certificate":      {a, "", "node1", now, true},
		"not valid yet":       {a, text, "node1", now.Add(-2 * early), true},
	} {
		if got := c.a.Due([]byte(c.text), c.name, c.at); got != c.due {
			t.Errorf("%s: due %v, want %v", what, got, c.due)
		}
	}
	if !a.Due([]byte(text), "node1", now, "10.0.0.2") {
		t.Error("a certificate without one of its hosts is not due")
	}
}

// authority also goes through its PEM form.
func authority(t *testing.T) *Authority {
	t.Helper()
	a, err := NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseAuthority([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return again
}
