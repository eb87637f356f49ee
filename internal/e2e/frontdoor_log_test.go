package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// The front door logs every failure, and one in LOG_SAMPLE of the good answers and of the refusals.
func TestFrontDoorLogsFailuresAndASample(t *testing.T) {
	t.Parallel()
	d := openDoor(t, "LOG_SAMPLE=20")
	traced := ""
	ask := func(count, status int, do string) {
		t.Helper()
		for range count {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/v1/raffles", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Do", do)
			r.Header.Set("Traceparent", traced)
			w, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Body.Close(); err != nil || w.StatusCode != status {
				t.Fatalf("%v, status %d instead of %d", err, w.StatusCode, status)
			}
		}
	}
	traced = clientParent
	ask(400, http.StatusOK, "")
	ask(100, http.StatusNotFound, "refuse")
	ask(7, http.StatusBadGateway, "break")
	traced = `x","forged":"y`
	ask(1, http.StatusBadGateway, "break")
	c := d.connection(t, "127.0.0.1")
	if _, err := io.WriteString(c, "GET /v1/raffles HTTP/1.1\r\nHost: x\r\nDo: break off\r\nX-Request-Id: long-1\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(text), "begin") {
		t.Fatalf("%v:\n%s", err, text)
	}
	testenv.Eventually(t, patience, "the long answer that was broken off is in the log", func() bool {
		return strings.Contains(d.haproxy.Log(t), `"request_id":"long-1"`)
	})
	logged := func(status int) int { return strings.Count(d.haproxy.Log(t), fmt.Sprintf(`"status":%d,`, status)) }
	testenv.Eventually(t, patience, "each failure is in the log", func() bool { return logged(http.StatusBadGateway) >= 8 })
	if n := strings.Count(d.haproxy.Log(t), `"trace_id":"`+clientTrace+`"`); n < 7 || strings.Contains(d.haproxy.Log(t), "forged") {
		t.Errorf("%d lines have the id of their trace:\n%s", n, d.haproxy.Log(t))
	}
	// 20 of 400 are chosen at random: with a chance of one in a thousand million none of them, or more than 60.
	if n := logged(http.StatusOK); n < 1 || n > 60 {
		t.Errorf("%d of 400 good answers are in the log", n)
	}
	if n := logged(http.StatusNotFound); n < 4 || n > 6 {
		t.Errorf("%d of 100 refusals are in the log", n)
	}
}
