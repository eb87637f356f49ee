package e2e

import (
	"bytes"
	"cmp"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// patience is how long a test waits for something that should happen at once.
const patience = 20 * time.Second

// door is the real front door before two stubs.
type door struct {
	command, query *stub
	haproxy        *testenv.HAProxy
	url            string
}

func openDoor(t testing.TB, limits ...string) *door {
	t.Helper()
	d := &door{command: startStub(t, "command"), query: startStub(t, "query")}
	d.haproxy, d.url, _ = testenv.StartFrontDoor(t, testenv.FrontDoor{Command: instances(d.command), Query: instances(d.query), Limits: limits})
	return d
}

func (d *door) addr() string { return strings.TrimPrefix(d.url, "http://") }

// described is the methods of each path of both documents, and the service of each call.
func described(t testing.TB) (methods map[string][]string, service map[string]string) {
	t.Helper()
	methods, service = map[string][]string{"/": {"GET", "HEAD"}, "/static.html": {"GET", "HEAD"}}, map[string]string{}
	for _, name := range []string{"command", "query"} {
		text, err := os.ReadFile("../../" + name + "/openapi.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var document struct {
			Paths map[string]map[string]any `yaml:"paths"`
		}
		if err := yaml.Unmarshal(text, &document); err != nil {
			t.Fatal(err)
		}
		for template, item := range document.Paths {
			path := example(template)
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
				if item[strings.ToLower(method)] == nil {
					continue
				}
				methods[path] = append(methods[path], method)
				service[method+" "+path] = name
				if method == "GET" {
					methods[path] = append(methods[path], "HEAD")
					service["HEAD "+path] = name
				}
			}
		}
	}
	return methods, service
}

// example puts 7 in place of each parameter of a path.
func example(template string) string {
	var path strings.Builder
	for part := range strings.SplitSeq(template, "{") {
		if _, rest, is := strings.Cut(part, "}"); is {
			part = "7" + rest
		}
		path.WriteString(part)
	}
	return path.String()
}

// Every call of both documents reaches its service, and every other method is answered 405 with the methods
// that the path has in both documents.
func TestFrontDoorTakesEveryDescribedCall(t *testing.T) {
	d := openDoor(t)
	methods, service := described(t)
	for path, allowed := range methods {
		slices.Sort(allowed)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			w, body := d.ask(t, method, path, nil)
			if !slices.Contains(allowed, method) {
				holdToProblem(t, w, body, http.StatusMethodNotAllowed, path)
				if got := w.Header.Get("Allow"); got != strings.Join(allowed, ", ") {
					t.Errorf("%s %s: Allow %q, want %q", method, path, got, allowed)
				}
				continue
			}
			want := service[method+" "+path]
			if got := w.Header.Get("Service"); w.StatusCode != http.StatusOK || got != want {
				t.Errorf("%s %s: %d of %q, want %q", method, path, w.StatusCode, got, want)
			}
			if got := w.Header.Get("Asked"); want != "" && got != method+" "+path {
				t.Errorf("%s %s arrives as %s", method, path, got)
			}
		}
	}
}

// A path is passed on as it was sent, and no rule takes "%2F" for a slash.
func TestFrontDoorKeepsPaths(t *testing.T) {
	d := openDoor(t)
	for _, path := range []string{"//v1/raffles", "/v1/./raffles", "/v1/raffles/../bids", "/v1%2Flogin", "/v1//login"} {
		for _, method := range []string{"GET", "POST"} {
			if w, _ := d.ask(t, method, path, nil); w.Header.Get("Asked") != method+" "+path {
				t.Errorf("%s %s: %d, arrives as %q", method, path, w.StatusCode, w.Header.Get("Asked"))
			}
		}
	}
	const notBids = "/v1/raffles/950%2Fbids" // a raffle with the odd id 950%2Fbids
	if w, _ := d.ask(t, "GET", notBids, nil); w.Header.Get("Asked") != "GET "+notBids {
		t.Errorf("%d, arrives as %q", w.StatusCode, w.Header.Get("Asked"))
	}
	w, body := d.ask(t, "POST", notBids, nil)
	holdToProblem(t, w, body, http.StatusMethodNotAllowed, notBids)
	// Raffles and bids whose odd id is "bids" have the methods of their kind.
	for path, allow := range map[string]string{"/v1/raffles/bids": "GET, HEAD, PATCH", "/v1/raffles/7/bids/bids": "DELETE, GET, HEAD"} {
		w, body := d.ask(t, "POST", path, nil)
		holdToProblem(t, w, body, http.StatusMethodNotAllowed, path)
		if got := w.Header.Get("Allow"); got != allow {
			t.Errorf("POST %s: Allow %q, want %q", path, got, allow)
		}
	}
}

// A connection that a client opens in advance, and uses for nothing, is closed without an answer, which the client would
// take for that of its first request.
func TestFrontDoorClosesAnUnusedConnectionSilently(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	unused, begun := d.connection(t, "127.0.0.1"), d.connection(t, "127.0.0.1")
	if _, err := io.WriteString(begun, "GET /v1/raffles HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(unused); err != nil || len(text) > 0 {
		t.Errorf("%v: %q", err, text)
	}
	if w, _ := readResponse(t, begun, "GET"); w.StatusCode != http.StatusRequestTimeout {
		t.Errorf("a request that does not end: %d", w.StatusCode)
	}
}

// ask sends one request on a connection of its own and reads the answer.
func (d *door) ask(t testing.TB, method, path string, body io.Reader) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, d.url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = "//" + d.addr() + path
	r.Close = true
	w, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	text, err := io.ReadAll(w.Body)
	if err := cmp.Or(err, w.Body.Close()); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return w, text
}

// dial opens a connection to the front door from an address.
func (d *door) dial(t testing.TB, from string) (net.Conn, error) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	return dialer.DialContext(t.Context(), "tcp", d.addr())
}

// connection is dial, but fails the test if the front door refuses the connection.
func (d *door) connection(t testing.TB, from string) net.Conn {
	t.Helper()
	c, err := d.dial(t, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // it may have been closed by the other side
	return c
}

// raw sends text on a connection and returns the bytes read until the other side closes, or until there is an answer.
func raw(t testing.TB, c net.Conn, text string) string {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		return ""
	}
	return readSome(c)
}

func readSome(c net.Conn) string {
	buffer := make([]byte, 4096)
	n, _ := c.Read(buffer) // an error leaves n 0
	return string(buffer[:n])
}

// A client that does not send its body takes no place in a service, because the service is never asked.
func TestABodyIsAwaitedAtTheFrontDoor(t *testing.T) {
	d := openDoor(t, "BODY_TIME=1s", "BID_PLACES=4", "ACCOUNT_PLACES=4")
	var wait sync.WaitGroup
	for i := range 40 {
		c := d.connection(t, "127.0.0.9")
		path := []string{"/v1/login", "/v1/raffles/7/bids"}[i%2]
		wait.Go(func() {
			head := "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
			body := "Content-Length: 10\r\n\r\n{"
			if i%4 > 1 {
				body = "Transfer-Encoding: chunked\r\n\r\n5\r\n{"
			}
			if got := raw(t, c, head+body); !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, `"instance":"`+path+`#`) {
				t.Errorf("%s: %q", path, got)
			}
		})
	}
	for range 20 {
		if w, _ := d.ask(t, "POST", "/v1/raffles/7/bids", bytes.NewReader([]byte("{}"))); w.StatusCode != http.StatusOK {
			t.Errorf("a bid beside slow bodies: %d", w.StatusCode)
		}
	}
	wait.Wait()
	if n := d.command.asked.Load(); n != 20 {
		t.Errorf("command was asked %d times, want 20", n)
	}
}
