package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/run"

	"github.com/stock-pyramid/stock-pyramid/deploy/certs"
)

// A renewed certificate is used without a restart, a broken file is not, and nothing is answered in plain text.
func TestACertificateIsRenewedWhileTheServersRun(t *testing.T) {
	authority, err := certs.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "query.pem")
	replace(t, file, issued(t, authority))
	address := serveSecurely(t, file)
	first := serial(t, authority, address)
	replace(t, file, "broken")
	for until := time.Now().Add(lookEvery + lookEvery/2); time.Now().Before(until); {
		if serial(t, authority, address) != first {
			t.Fatal("another certificate without a new one")
		}
	}
	replace(t, file, issued(t, authority))
	for end := time.Now().Add(10 * time.Second); serial(t, authority, address) == first; {
		if time.Now().After(end) {
			t.Fatal("the new certificate is not used")
		}
	}
	answer, err := http.Get("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusBadRequest {
		t.Errorf("plain text is answered %s, %v", answer.Status, err)
	}
}

func issued(t *testing.T, a *certs.Authority) string {
	t.Helper()
	text, err := a.Issue("query", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func replace(t *testing.T, file, text string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o600), os.Rename(file+".new", file)); err != nil {
		t.Fatal(err)
	}
}

// serial is the number of the certificate that a server shows.
func serial(t *testing.T, a *certs.Authority, address string) string {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(a.Certificate()))
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestAFileWithoutACertificateIsAnError(t *testing.T) {
	servers, err := Listen(slog.New(slog.DiscardHandler), "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "none.pem")
	if err := servers.Secure(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v", err)
	}
	if err := servers.Close(); err != nil {
		t.Error(err)
	}
}

// serveSecurely serves until the end of the test.
func serveSecurely(t *testing.T, file string) (address string) {
	t.Helper()
	servers, err := Listen(slog.New(slog.DiscardHandler), "127.0.0.1:0", "127.0.0.1:0")
	if err == nil {
		err = servers.Secure(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group run.Group
	group.Add(run.ContextHandler(ctx))
	servers.AddTo(&group, http.NotFoundHandler(), http.NotFoundHandler())
	ended := make(chan error, 1)
	go func() { ended <- group.Run() }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return servers.public.Addr().String()
}
