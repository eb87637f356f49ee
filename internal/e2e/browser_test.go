package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/cors"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// site serves the page in the folder clients. Each site is an origin of its own.
type site struct {
	url   string
	steps chan map[string]string // what came of each step of the page
}

func startSite(t testing.TB, modules string) *site {
	t.Helper()
	s := &site{steps: make(chan map[string]string, 1)}
	mux := http.NewServeMux()
	for path, file := range map[string]string{
		"/": "clients/page.html", "/page.js": "clients/page.js", "/socket.io.js": filepath.Join(modules, "socket.io-client/dist/socket.io.min.js"),
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	}
	mux.HandleFunc("POST /steps", func(w http.ResponseWriter, r *http.Request) {
		var steps map[string]string
		if err := json.NewDecoder(r.Body).Decode(&steps); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.steps <- steps
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// visit opens the page in a browser and returns what came of its steps.
func (s *site) visit(t testing.TB, api string) map[string]string {
	t.Helper()
	profile := t.TempDir()
	page := fmt.Sprintf("%s/?api=%s&raffle=%d", s.url, url.QueryEscape(api), openRaffle)
	args := []string{"--headless", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run",
		"--no-proxy-server", "--enable-logging=stderr", "--user-data-dir=" + profile, page}
	if os.Geteuid() == 0 {
		args = append([]string{"--no-sandbox"}, args...) // it refuses to run as root with its sandbox
	}
	browser := testenv.StartProcess(t, testenv.Process{Path: testenv.Tool(t, "chromium", "chromium"), Args: args, Env: []string{"HOME=" + profile}})
	select {
	case steps := <-s.steps:
		browser.Stop(t)
		return steps
	case <-time.After(time.Minute):
		t.Fatalf("the page did not come to its end:\n%s", browser.Output())
		return nil
	}
}

// A page of a listed origin does in a browser what any client does: it logs in, bids, reads its bid back, and follows the
// feed in all three ways. The browser refuses all of it to a page of another origin.
func TestABrowserUsesTheAPIFromAListedOrigin(t *testing.T) {
	modules := npmClients(t)
	s := startStack(t)
	listed, foreign := startSite(t, modules), startSite(t, modules)
	_, queryURL, queryAdmin := s.startQuery(t, "CORS_ORIGINS="+listed.url)
	_, front, _ := testenv.StartFrontDoor(t, testenv.FrontDoor{Command: []testenv.Instance{{Public: s.commandURL, Admin: s.commandAdmin}},
		Query: []testenv.Instance{{Public: queryURL, Admin: queryAdmin}}, Origins: cors.Origins{listed.url}})
	want := map[string]string{
		"error": "401 WWW-Authenticate X-Request-Id /problems/no-token", "wrong method": "405 Allow", "nothing there": "404", "login": "200",
		"sse joins": "joined", "websocket joins": "joined", "polling joins": "joined",
		"bid": "201 Commit-LSN Location", "bid again": "201 Idempotency-Replayed",
		"read": "200 Read-Path Read-LSN Read-Lag-Ms X-Request-Id true", "list": "200 ETag", "list again": "304",
		"sse": "bid", "websocket": "bid", "polling": "bid", "cancel": "204",
	}
	if got := listed.visit(t, front); !maps.Equal(got, want) {
		t.Errorf("a listed origin: %q", got)
	}
	for name := range want {
		want[name] = "refused"
	}
	if got := foreign.visit(t, front); !maps.Equal(got, want) {
		t.Errorf("another origin: %q", got)
	}
	s.holdToRefusal(t, front, foreign.url)
	s.holdToFirstPage(t, front)
}

// holdToRefusal opens a websocket as a browser does for a page, and is told why not.
func (s *stack) holdToRefusal(t testing.TB, front, origin string) {
	t.Helper()
	a := s.must(t, http.StatusForbidden, "GET", front+"/socket.io/?EIO=4&transport=websocket", nil, "Origin", origin, "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	var problem struct{ Type, Detail string }
	if err := json.Unmarshal(a.body, &problem); err != nil || problem.Type != "/problems/foreign-origin" {
		t.Errorf("%s: %v", a.body, err)
	}
}
