package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// holdToProblem compares an answer with what the documents say of errors.
func holdToProblem(t testing.TB, w *http.Response, body []byte, status int, path string) {
	t.Helper()
	id := w.Header.Get("X-Request-Id")
	if w.StatusCode != status || id == "" {
		t.Errorf("%s: %d with id %q, want %d: %s", path, w.StatusCode, id, status, body)
	}
	if w.Request.Method == http.MethodHead {
		return
	}
	var problem struct {
		Type, Title, Detail, Instance string
		Status                        int
	}
	if err := json.Unmarshal(body, &problem); err != nil || w.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %v: %s %s", path, err, w.Header.Get("Content-Type"), body)
	}
	path = strings.ReplaceAll(path, "%zz", "_zz") // %zz is not allowed in a URI
	if problem.Type == "" || problem.Title == "" || problem.Detail == "" || problem.Status != status || problem.Instance != path+"#"+id {
		t.Errorf("%s: %s, want instance %s#%s", path, body, path, id)
	}
	if _, err := url.Parse(problem.Instance); err != nil {
		t.Error(err)
	}
	if retry := w.Header.Get("Retry-After"); (retry != "") != (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) {
		t.Errorf("%s: %d with Retry-After %q", path, status, retry)
	}
}

// Every error of the front door itself, and every error that net/http answers before any handler, is a problem
// document with the request's id.
func TestFrontDoorErrorsAreProblems(t *testing.T) {
	d := openDoor(t, "ANSWER_TIME=1s", "BODY_TIME=1s")
	long := strings.Repeat("x", 20<<10)
	for _, c := range []struct {
		name, method, path string
		status             int
		body               string
		header             []string
	}{
		{name: "not encoded", method: "GET", path: "/v1/raffles/%zz", status: 400},
		{name: "host", method: "GET", path: "/hello", status: 400, header: []string{"Host", "a b"}},
		{name: "expect", method: "GET", path: "/hello", status: 400, header: []string{"Expect", "200-ok"}},
		{name: "method", method: "PUT", path: "/v1/users", status: 405},
		{name: "body", method: "POST", path: "/v1/raffles/7/bids", status: 413, body: long},
		{name: "chunked body", method: "POST", path: "/v1/login", status: 413, body: long, header: []string{"Transfer-Encoding", "chunked"}},
		{name: "header", method: "GET", path: "/hello", status: 431, header: []string{"Cookie", long + "xxxxxxxx"}},
		{name: "broken read", method: "GET", path: "/v1/raffles", status: 502, header: []string{"Do", "break"}},
		{name: "broken write", method: "POST", path: "/v1/raffles/7/bids", status: 502, header: []string{"Do", "break"}},
		{name: "slow read", method: "GET", path: "/v1/raffles", status: 504, header: []string{"Do", "hang"}},
		{name: "slow write", method: "POST", path: "/v1/login", status: 504, header: []string{"Do", "hang"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, body := d.send(t, c.method, c.path, c.body, c.header...)
			holdToProblem(t, w, body, c.status, c.path)
			if c.status >= 502 && c.method == "POST" && !bytes.Contains(body, []byte("it is not known whether this was done")) {
				t.Errorf("%s", body)
			}
		})
	}
	d.command.close(t)
	d.query.close(t)
	for _, path := range []string{"/v1/raffles", "/v1/raffles/7/live", "/openapi/command.yaml"} {
		w, body := d.send(t, "GET", path, "")
		holdToProblem(t, w, body, http.StatusServiceUnavailable, path)
	}
	for _, path := range []string{"/v1/users", "/v1/raffles/7/bids"} {
		w, body := d.send(t, "POST", path, "{}", "X-Request-Id", "mine-1")
		holdToProblem(t, w, body, http.StatusServiceUnavailable, path)
		if id := w.Header.Get("X-Request-Id"); id != "mine-1" {
			t.Errorf("the id became %q", id)
		}
	}
	testenv.Eventually(t, patience, "each error is in the log", func() bool {
		return strings.Count(d.haproxy.Log(t), `"request_id":"mine-1"`) >= 2
	})
}

// send is ask with headers that a client of net/http does not send.
func (d *door) send(t testing.TB, method, path, body string, header ...string) (*http.Response, []byte) {
	t.Helper()
	text := method + " " + path + " HTTP/1.1\r\nConnection: close\r\n"
	length := "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	host := "Host: x\r\n"
	for i := 0; i+1 < len(header); i += 2 {
		switch header[i] {
		case "Host":
			host = ""
		case "Transfer-Encoding":
			length = ""
			body = strconv.FormatInt(int64(len(body)), 16) + "\r\n" + body + "\r\n0\r\n\r\n"
		}
		text += header[i] + ": " + header[i+1] + "\r\n"
	}
	c := d.connection(t, "127.0.0.1")
	if _, err := io.WriteString(c, text+host+length+"\r\n"+body); err != nil {
		t.Fatal(err)
	}
	return readResponse(t, c, method)
}

func readResponse(t testing.TB, c net.Conn, method string) (*http.Response, []byte) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	w, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(w.Body)
	if err := cmp.Or(err, w.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return w, text
}
