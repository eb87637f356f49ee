package locked

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/deploy/certs"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// serve starts a service that answers everything, and returns its address.
func serve(t *testing.T, a *certs.Authority, name string, at time.Time) string {
	t.Helper()
	text, err := a.Issue(name, at)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(text), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().(*net.TCPAddr).String()
}

// startDoor starts a front door with TLS before one service, which is also its own admin listener.
func startDoor(t *testing.T, a *certs.Authority, service string) (url string) {
	t.Helper()
	text, err := a.Issue("haproxy", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	instance := []testenv.Instance{{Public: service, Admin: service}}
	_, url, _ = testenv.StartFrontDoor(t, testenv.FrontDoor{Command: instance, Query: instance}, testenv.Secured(a.Certificate(), text))
	return url
}
