package locked

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/deploy/certs"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// certificates are what a server may show, and what a client that trusts the first authority says of it.
type certificates struct {
	trusted                string
	good, expired, foreign testenv.Option
}

const (
	isExpired = "certificate has expired"
	isForeign = "certificate signed by unknown authority"
)

func newCertificates(t *testing.T) certificates {
	t.Helper()
	ours, theirs := authority(t), authority(t)
	issue := func(a *certs.Authority, at time.Time) testenv.Option {
		text, err := a.Issue("server", at)
		if err != nil {
			t.Fatal(err)
		}
		return testenv.Secured(ours.Certificate(), text)
	}
	return certificates{
		trusted: ours.Certificate(), good: issue(ours, time.Now()), expired: issue(ours, time.Now().Add(-2*certs.Life)), foreign: issue(theirs, time.Now()),
	}
}

func authority(t *testing.T) *certs.Authority {
	t.Helper()
	a, err := certs.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (c certificates) roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(c.trusted))
	return roots
}

// expect fails the test unless err says want; an empty want means no error.
func expect(t *testing.T, what string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v; want %q", what, err, want)
	}
}

func TestPostgresIsReachedWithARightCertificateOnly(t *testing.T) {
	c := newCertificates(t)
	connect := func(url string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	good := testenv.StartPostgres(t, c.good)
	expect(t, "right", connect(good.URL("query")), "")
	expect(t, "plain text", connect(strings.Replace(good.URL("query"), "sslmode=verify-full", "sslmode=disable", 1)), "no encryption")
	expect(t, "a wrong password", connect(strings.Replace(good.URL("query"), "query:query", "query:wrong", 1)), "password authentication failed")
	expect(t, "an expired certificate", connect(testenv.StartPostgres(t, c.expired).URL("query")), isExpired)
	expect(t, "another authority's certificate", connect(testenv.StartPostgres(t, c.foreign).URL("query")), isForeign)
}

func TestRedisIsReachedWithARightCertificateOnly(t *testing.T) {
	c := newCertificates(t)
	good := testenv.StartRedis(t, c.good)
	for what, test := range map[string]struct {
		server               *testenv.Redis
		user, password, want string
		plain                bool
	}{
		"right":                  {good, "query", "query", "", false},
		"plain text":             {good, "query", "query", "redis", true},
		"a wrong password":       {good, "query", "wrong", "WRONGPASS", false},
		"an unknown user":        {good, "nobody", "nobody", "WRONGPASS", false},
		"the default user":       {good, "default", "", "WRONGPASS", false},
		"an expired certificate": {testenv.StartRedis(t, c.expired), "query", "query", isExpired, false},
		"a foreign certificate":  {testenv.StartRedis(t, c.foreign), "query", "query", isForeign, false},
	} {
		o := resp.Options{Network: "tcp", Addr: test.server.Addr(), Username: test.user, Password: test.password, DialTimeout: 5 * time.Second}
		if !test.plain {
			o.TLS = &tls.Config{RootCAs: c.roots(), MinVersion: tls.VersionTLS12}
		}
		conn, err := resp.Dial(t.Context(), o)
		if err == nil {
			err = conn.Close()
		}
		expect(t, what, err, test.want)
	}
}

// What each user of Redis may not do is refused, with the reason.
func TestRedisUsersStayWithinTheirRights(t *testing.T) {
	c := newCertificates(t)
	server := testenv.StartRedis(t, c.good)
	for _, test := range []struct{ user, command, want string }{
		{"query", "GET pyramid:checkpoint", ""}, {"query", "ZRANGE {r1}:1:n:270 0 10", ""}, {"query", "INFO memory", ""},
		{"query", "SET pyramid:checkpoint x", "NOPERM"}, {"query", "ZADD {r1}:1:n:270 1 x", "NOPERM"}, {"query", "DEL {r1}:1:raffle", "NOPERM"},
		{"query", "GET other", "NOPERM"}, {"query", "GET pyramid:rebuild", "NOPERM"}, {"query", "FLUSHALL", "NOPERM"}, {"query", "CONFIG GET *", "NOPERM"},
		{"query", "EVAL return 0", "NOPERM"}, {"query", "KEYS *", "NOPERM"}, {"query", "ACL WHOAMI", "NOPERM"},
		{"replicator", "SET pyramid:checkpoint x", ""}, {"replicator", "ZADD {r1}:1:n:270 1 x", ""}, {"replicator", "UNLINK {r1}:1:n:270", ""},
		{"replicator", "SET other x", "NOPERM"}, {"replicator", "DEL other", "NOPERM"}, {"replicator", "FLUSHALL", "NOPERM"}, {"replicator", "FLUSHDB", "NOPERM"},
		{"replicator", "CONFIG SET maxmemory 1", "NOPERM"}, {"replicator", "SHUTDOWN", "NOPERM"}, {"replicator", "KEYS *", "NOPERM"},
		{"replicator", "ACL SETUSER replicator ~*", "NOPERM"}, {"operator", "CONFIG GET maxmemory", ""},
	} {
		conn, err := resp.Dial(t.Context(), resp.Options{
			Network: "tcp", Addr: server.Addr(), Username: test.user, Password: test.user, DialTimeout: 5 * time.Second,
			TLS: &tls.Config{RootCAs: c.roots(), MinVersion: tls.VersionTLS12},
		})
		if err != nil {
			t.Fatal(err)
		}
		var out resp.Commands
		out.Add(strings.Fields(test.command)...)
		if _, err = conn.Write(out.Wire); err == nil {
			var reply resp.Reply
			if reply, err = conn.Next(); err == nil {
				err = reply.Err()
			}
		}
		expect(t, test.user+": "+test.command, err, test.want)
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The front door sends nothing to a service that shows a wrong certificate, and answers no plain text.
func TestTheFrontDoorChecksTheServices(t *testing.T) {
	ours, theirs := authority(t), authority(t)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
	client.Transport.(*http.Transport).TLSClientConfig.RootCAs = certificates{trusted: ours.Certificate()}.roots()
	for what, c := range map[string]struct {
		authority *certs.Authority
		name      string
		at        time.Time
		status    int
	}{
		"right":             {ours, "query", time.Now(), http.StatusOK},
		"another name":      {ours, "command", time.Now(), http.StatusServiceUnavailable},
		"expired":           {ours, "query", time.Now().Add(-2 * certs.Life), http.StatusServiceUnavailable},
		"another authority": {theirs, "query", time.Now(), http.StatusServiceUnavailable},
	} {
		url := startDoor(t, ours, serve(t, c.authority, c.name, c.at))
		status := 0
		testenv.EventuallyNoError(t, 10*time.Second, fmt.Sprintf("%s: %d", what, c.status), func() error {
			answer, err := client.Get(url + "/v1/raffles")
			if err != nil {
				return err
			}
			if status = answer.StatusCode; status != c.status {
				return fmt.Errorf("status %d", status)
			}
			return answer.Body.Close()
		})
		expect(t, "plain text", get(http.DefaultClient, strings.Replace(url, "https", "http", 1)), "EOF")
		expect(t, "a client that does not know the authority", get(http.DefaultClient, url), "unknown authority")
	}
}

func get(client *http.Client, url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
