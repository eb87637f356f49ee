package e2e

import (
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/stock-pyramid/stock-pyramid/internal/cors"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const (
	listedOrigin  = "https://shop.example.com"
	foreignOrigin = "https://evil.example.com"
)

// openDoorTo is openDoor with pages of a listed origin.
func openDoorTo(t testing.TB, limits ...string) *door {
	t.Helper()
	d := &door{command: startStub(t, "command"), query: startStub(t, "query")}
	d.haproxy, d.url, _ = testenv.StartFrontDoor(t, testenv.FrontDoor{Command: instances(d.command), Query: instances(d.query), Limits: limits,
		Origins: cors.Origins{"http://localhost:5173", listedOrigin}})
	return d
}

// holdToOrigin compares an answer with what browsers must be told for pages of an origin.
func holdToOrigin(t testing.TB, w *http.Response, origin string) {
	t.Helper()
	where := w.Request.Method + " for " + origin
	allowed, exposed := "", ""
	if origin == listedOrigin {
		allowed, exposed = origin, strings.Join(cors.AnswerHeaders, ", ")
	}
	if got := w.Header.Values("Access-Control-Allow-Origin"); strings.Join(got, "|") != allowed {
		t.Errorf("%s: %d allows %q", where, w.StatusCode, got)
	}
	if got := w.Header.Get("Access-Control-Expose-Headers"); got != exposed {
		t.Errorf("%s: %d exposes %q", where, w.StatusCode, got)
	}
	if vary := w.Header.Values("Vary"); !slices.Contains(vary, "Origin") {
		t.Errorf("%s: %d varies by %q", where, w.StatusCode, vary)
	}
}

// Every answer tells browsers that pages of a listed origin may read it, and so do the front door's own errors. Answers
// to others do not.
func TestAnswersNameAListedOrigin(t *testing.T) {
	d := openDoorTo(t, "ANSWER_TIME=1s")
	long := strings.Repeat("x", 20<<10)
	for _, c := range []struct {
		method, path string
		status       int
		body         string
		header       []string
	}{
		{method: "GET", path: "/v1/raffles", status: 200},
		{method: "POST", path: "/v1/raffles/7/bids", status: 200, body: "{}"},
		{method: "GET", path: "/socket.io/?EIO=4&transport=polling", status: 200},
		{method: "GET", path: "/static.html", status: 200},
		{method: "GET", path: "/v1/none", status: 404, header: []string{"Do", "refuse"}},
		{method: "GET", path: "/v1/raffles/%zz", status: 400},
		{method: "PUT", path: "/v1/users", status: 405},
		{method: "POST", path: "/v1/login", status: 413, body: long},
		{method: "GET", path: "/hello", status: 431, header: []string{"Cookie", long + "xxxxxxxx"}},
		{method: "GET", path: "/v1/raffles", status: 502, header: []string{"Do", "break"}},
		{method: "GET", path: "/v1/raffles", status: 504, header: []string{"Do", "hang"}},
	} {
		for _, origin := range []string{listedOrigin, foreignOrigin} {
			w, _ := d.send(t, c.method, c.path, c.body, append(c.header, "Origin", origin)...)
			if w.StatusCode != c.status {
				t.Errorf("%s %s: %d, want %d", c.method, c.path, w.StatusCode, c.status)
			}
			holdToOrigin(t, w, origin)
		}
	}
	w, _ := d.send(t, "GET", "/hello", "")
	holdToOrigin(t, w, "no page")
	d.command.close(t)
	d.query.close(t)
	for path, status := range map[string]int{"/v1/raffles": 503, "/v1/raffles/7/live": 503, "/openapi/command.yaml": 503} {
		w, _ := d.send(t, "GET", path, "", "Origin", listedOrigin)
		if w.StatusCode != status {
			t.Errorf("%s: %d", path, w.StatusCode)
		}
		holdToOrigin(t, w, listedOrigin)
	}
	w, _ = d.send(t, "GET", "/v1/raffles/7/live", "", "Origin", listedOrigin, "Accept", "text/event-stream")
	holdToOrigin(t, w, listedOrigin)
}

func TestARefusalForItsRateNamesAListedOrigin(t *testing.T) {
	d := openDoorTo(t, "ADDRESS_RATE=5")
	testenv.Eventually(t, patience, "the rate is reached", func() bool {
		w, _ := d.send(t, "GET", "/hello", "", "Origin", listedOrigin)
		holdToOrigin(t, w, listedOrigin)
		return w.StatusCode == http.StatusTooManyRequests
	})
}

// A preflight request is answered with the methods that both services have on the path, and with every header of the
// documents. For pages of other origins, and if no origin is listed, OPTIONS is a method like any other.
func TestPreflightRequestsAreAnsweredAtTheFrontDoor(t *testing.T) {
	d, closed := openDoorTo(t), openDoor(t)
	methods, _ := described(t)
	methods["/v1/none"], methods["/socket.io/"] = []string{"GET", "HEAD", "POST"}, []string{"GET", "HEAD", "POST"}
	for path, allowed := range methods {
		slices.Sort(allowed)
		w, body := d.send(t, "OPTIONS", path, "", "Origin", listedOrigin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "min-lsn")
		holdToOrigin(t, w, listedOrigin)
		got := map[string]string{}
		for _, name := range []string{"Methods", "Headers"} {
			got[name] = w.Header.Get("Access-Control-Allow-" + name)
		}
		want := map[string]string{"Methods": strings.Join(allowed, ", "), "Headers": strings.Join(cors.RequestHeaders, ", ")}
		if w.StatusCode != http.StatusNoContent || len(body) > 0 || !maps.Equal(got, want) || w.Header.Get("Access-Control-Max-Age") != strconv.Itoa(cors.MaxAge) {
			t.Errorf("%s: %d %q, want %q", path, w.StatusCode, w.Header, want)
		}
	}
	if asked := d.command.asked.Load() + d.query.asked.Load(); asked != 0 {
		t.Errorf("%d preflight requests came to a service", asked)
	}
	if w, _ := d.send(t, "OPTIONS", "/hello", "", "Origin", listedOrigin, "Access-Control-Request-Method", "GET"); w.Header.Get("Content-Length") != "" {
		t.Errorf("a 204 of %s bytes", w.Header.Get("Content-Length"))
	}
	w, body := d.send(t, "OPTIONS", "/v1/login", "", "Origin", foreignOrigin, "Access-Control-Request-Method", "POST")
	holdToProblem(t, w, body, http.StatusMethodNotAllowed, "/v1/login")
	holdToOrigin(t, w, foreignOrigin)
	w, _ = closed.send(t, "OPTIONS", "/v1/login", "", "Origin", listedOrigin, "Access-Control-Request-Method", "POST")
	if vary := w.Header.Values("Vary"); w.StatusCode != http.StatusMethodNotAllowed || len(vary) > 0 || w.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without a list: %d %q", w.StatusCode, w.Header)
	}
}

// Pages may send every header that the documents have, and read every one that is of use to them.
func TestPagesMayUseTheHeadersOfTheDocuments(t *testing.T) {
	known := slices.Concat(cors.RequestHeaders, cors.AnswerHeaders, []string{"Accept", "Cache-Control", "Content-Type"}) // these need no leave
	useless := []string{"Content-Encoding", "Content-Security-Policy", "Vary"}
	for _, name := range []string{"command", "query"} {
		text, err := os.ReadFile("../../" + name + "/openapi.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var document map[string]any
		if err := yaml.Unmarshal(text, &document); err != nil {
			t.Fatal(err)
		}
		delete(document["components"].(map[string]any), "headers") // these have names of components
		headers := headersOf(document)
		if len(headers) < 20 {
			t.Errorf("%s has only the headers %q", name, headers)
		}
		for _, header := range headers {
			if !slices.ContainsFunc(slices.Concat(known, useless), func(k string) bool { return strings.EqualFold(k, header) }) {
				t.Errorf("%s: pages may not use %s", name, header)
			}
		}
	}
}

// headersOf lists the headers of requests and answers below a node of a document.
func headersOf(node any) (names []string) {
	switch n := node.(type) {
	case []any:
		for _, child := range n {
			names = append(names, headersOf(child)...)
		}
	case map[string]any:
		if name, is := n["name"].(string); is && n["in"] == "header" {
			names = append(names, name)
		}
		if headers, is := n["headers"].(map[string]any); is {
			names = slices.AppendSeq(names, maps.Keys(headers))
		}
		for _, child := range n {
			names = append(names, headersOf(child)...)
		}
	}
	return names
}
