package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// tryABid shows a bid from the login to the read.
func (s *stack) tryABid(t *testing.T) {
	var out, notes bytes.Buffer
	if err := program.Run(t.Context(), []string{"try", "--url", s.url + "/"}, &out, &notes); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	want := regexp.MustCompile(`^POST /v1/login .* -> 200, a token of [1-9]\d+ characters
POST /v1/raffles/(\d+)/bids -> 201, Commit-LSN: \S+
     {.*"size":270,.*}
GET  /v1/raffles/(\d+)/bids\?size=270\S* -> 200 with that bid
     Read-Path: redis  Read-LSN: \S+  Read-Lag-Ms: \d+
     all its bids: ` + regexp.QuoteMeta(s.url) + `/v1/raffles/(\d+)/bids\?size=270&order=highest
$`)
	if !want.MatchString(out.String()) {
		t.Errorf("it shows\n%s", out.String())
	}
}

// A front door before services that are not there says which log to read, and so does one that is not there itself.
func TestTrySaysWhichLogToRead(t *testing.T) {
	dead := func() testenv.Instance {
		return testenv.Instance{Public: fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)), Admin: fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))}
	}
	_, url, _ := testenv.StartFrontDoor(t, testenv.FrontDoor{Command: []testenv.Instance{dead()}, Query: []testenv.Instance{dead()}})
	for url, want := range map[string]string{
		url: "POST /v1/login: 503 /problems/unavailable", "http://" + dead().Public: "connection refused",
	} {
		err := program.Run(t.Context(), []string{"try", "--url", url}, &bytes.Buffer{}, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "haproxy") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
