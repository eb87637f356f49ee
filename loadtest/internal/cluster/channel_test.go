package cluster

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func mustChannel(t *testing.T, token string) *tls.Config {
	t.Helper()
	channel, err := newChannel(token)
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

// An agent refuses a client without the token, also a client that checks no certificate.
func TestOnlyWhoHasTheTokenGetsIn(t *testing.T) {
	_, addr := serveAgent(t, runnerFunc(calculated))
	ask := func(scheme string, channel *tls.Config) error {
		transport := &http.Transport{TLSClientConfig: channel}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get(scheme + "://" + addr + "/v1/jobs/test")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return refusal{code: resp.StatusCode}
	}
	careless := mustChannel(t, "another secret of this test")
	careless.VerifyConnection = nil
	for name, channel := range map[string]*tls.Config{
		"no certificate": {InsecureSkipVerify: true},
		"another token":  careless,
	} {
		var got refusal
		if err := ask("https", channel); err == nil || errors.As(err, &got) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ask("https", mustChannel(t, secret+"x")); !errors.Is(err, errToken) || !strings.Contains(err.Error(), TokenFileVar) {
		t.Errorf("an agent with another token: %v", err)
	}
	var got refusal
	if err := ask("http", nil); !errors.As(err, &got) || got.code != http.StatusBadRequest {
		t.Errorf("without TLS: %v", err)
	}
	if err := ask("https", mustChannel(t, secret)); !errors.As(err, &got) || got.code != http.StatusConflict {
		t.Errorf("with the token, without a build: %v", err)
	}
}

// recorder keeps all bytes of the connections that it forwards.
type recorder struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen.Write(p)
}

// forward copies one connection to the target until one side closes it.
func (r *recorder) forward(client net.Conn, target string) error {
	server, err := net.Dial("tcp", target)
	if err != nil {
		return errors.Join(err, client.Close())
	}
	var wg sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
		wg.Go(func() {
			_, _ = io.Copy(io.MultiWriter(to, r), from) // either side may close it
			_, _ = from.Close(), to.Close()
		})
	}
	wg.Wait()
	return nil
}

func TestTheWayShowsNeitherTokenNorPlan(t *testing.T) {
	dir := t.TempDir()
	_, addr := serveAgent(t, leavesFile(filepath.Join(dir, "journal")))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var record recorder
	var links sync.WaitGroup
	links.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed below
			}
			links.Go(func() {
				if err := record.forward(client, addr); err != nil {
					t.Error(err)
				}
			})
		}
	})
	j := job(1)
	j.Plan = []byte(`{"url":"http://shop.example:8080"}`)
	mustRun(t, newController(t, l.Addr().String()), j)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	links.Wait()
	if record.seen.Len() < 1<<20 {
		t.Errorf("%d bytes went by, the journal has %d", record.seen.Len(), 1<<20)
	}
	for _, text := range []string{secret, "shop.example", "/v1/jobs", "key key"} {
		if bytes.Contains(record.seen.Bytes(), []byte(text)) {
			t.Errorf("%q crosses the network", text)
		}
	}
}

func keyOf(channel *tls.Config) ed25519.PrivateKey {
	return channel.Certificates[0].PrivateKey.(ed25519.PrivateKey)
}

func TestReadChannel(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from a file, long enough\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, value, want, problem string }{
		{"", "", "", "set LOADTEST_TOKEN_FILE"},
		{"", "short", "", "5 characters"},
		{"", "long enough to be a secret", "long enough to be a secret", ""},
		{file, "long enough to be a secret", "from a file, long enough", ""},
		{file + "x", "", "", "no such file"},
	} {
		t.Setenv(TokenFileVar, c.file)
		t.Setenv(TokenVar, c.value)
		got, err := ReadChannel()
		if (err != nil) != (c.problem != "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%+v: %v", c, err)
		}
		if err == nil && !keyOf(got).Equal(keyOf(mustChannel(t, c.want))) {
			t.Errorf("%+v: another key", c)
		}
	}
}
