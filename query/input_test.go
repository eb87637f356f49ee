package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// Every kind of bad input, its status and the field that the answer names.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	bidCursor := *decode[bidPage](t, s.get(t, someBids)).NextCursor
	highCursor := *decode[bidPage](t, s.get(t, someBids+"&order=highest")).NextCursor
	raffleCursor := *decode[rafflePage](t, s.get(t, "/v1/raffles?limit=1")).NextCursor
	sizeCursor := *decode[bidPage](t, s.get(t, "/v1/bids?size=270")).NextCursor
	const bids = "/v1/raffles/1/bids"
	for _, c := range []struct {
		path   string
		status int
		field  string
	}{
		{"/", 404, ""}, {"/v1/raffles/", 404, ""}, {"/v1", 404, ""},
		{"/v1/raffles/0", 404, ""}, {"/v1/raffles/-1", 404, ""}, {"/v1/raffles/abc", 404, ""}, {"/v1/raffles/1.5", 404, ""},
		{"/v1/raffles/01", 404, ""}, {"/v1/raffles/+1", 404, ""}, {"/v1/raffles/9223372036854775808", 404, ""},
		{"/v1/raffles/9223372036854775807", 404, ""}, {"/v1/raffles/999999", 404, ""}, {"/v1/raffles/1%00", 404, ""},
		{"/v1/raffles/999999/bids?size=270", 404, ""}, {"/v1/raffles/999999/bids?size=270&order=highest", 404, ""},
		{"/v1/raffles/x/bids?size=270", 404, ""}, {"/v1/raffles/x/bids", 404, ""},
		{"/v1/raffles/999999/bids", 404, ""}, {"/v1/raffles/999999/best", 404, ""}, {"/v1/raffles/x/best", 404, ""}, {"/v1/raffles/1/best?size=270", 400, "size"},
		{bids + "?order=highest", 400, "size"}, {bids + "?limit=201", 422, "limit"}, {bids + "?cursor=" + bidCursor, 400, "cursor"}, {bids + "?min_price=5", 400, "min_price"},
		{bids + "?size=270&min_price=5", 400, "min_price"}, {bids + "?size=270&order=newest&max_price=5", 400, "max_price"},
		{bids + "?size=270&order=highest&min_price=0", 422, "min_price"}, {bids + "?size=270&order=highest&max_price=2147483648", 422, "max_price"},
		{bids + "?size=270&order=highest&max_price=x", 400, "max_price"}, {bids + "?size=270&order=highest&min_price=6&max_price=5", 422, "min_price"},
		{bids + "?size=270&order=highest&min_price=5&cursor=" + highCursor, 400, "cursor"}, {bids + "?size=270&order=highest&max_price=5&cursor=" + highCursor, 400, "cursor"},
		{bids + "?size=", 400, "size"}, {bids + "?size=abc", 400, "size"}, {bids + "?size=27.5", 400, "size"},
		{bids + "?size=%2B270", 400, "size"}, {bids + "?size=1e2", 400, "size"}, {bids + "?size=270&size=270", 400, "size"},
		{bids + "?size=0", 422, "size"}, {bids + "?size=-5", 422, "size"}, {bids + "?size=32768", 422, "size"},
		{bids + "?size=99999999999999999999999", 422, "size"},
		{bids + "?size=270&limit=0", 422, "limit"}, {bids + "?size=270&limit=2001", 422, "limit"}, {bids + "?size=270&limit=-1", 422, "limit"},
		{bids + "?size=270&limit=x", 400, "limit"}, {bids + "?size=270&limit=", 400, "limit"},
		{bids + "?size=270&order=oldest", 400, "order"}, {bids + "?size=270&order=", 400, "order"}, {bids + "?size=270&order=NEWEST", 400, "order"},
		{bids + "?size=270&status=open", 400, "status"}, {bids + "?size=270&Size=270", 400, "Size"},
		{bids + "?size=270&x=%zz", 400, "query"}, {bids + "?size=270;order=newest", 400, "query"},
		{bids + "?size=270&cursor=", 400, "cursor"}, {bids + "?size=270&cursor=garbage", 400, "cursor"},
		{bids + "?size=270&cursor=" + strings.Repeat("A", len(bidCursor)), 400, "cursor"},
		{bids + "?size=270&cursor=" + bidCursor + "A", 400, "cursor"}, {bids + "?size=270&cursor=" + bidCursor[1:], 400, "cursor"},
		{bids + "?size=270&cursor=" + highCursor, 400, "cursor"}, {bids + "?size=270&order=highest&cursor=" + bidCursor, 400, "cursor"},
		{bids + "?size=265&cursor=" + bidCursor, 400, "cursor"}, {"/v1/raffles/2/bids?size=270&cursor=" + bidCursor, 400, "cursor"},
		{bids + "?size=270&cursor=" + raffleCursor, 400, "cursor"},
		{"/v1/raffles?cursor=" + bidCursor, 400, "cursor"}, {"/v1/raffles?status=all&cursor=" + raffleCursor, 400, "cursor"},
		{"/v1/raffles?status=unknown", 400, "status"}, {"/v1/raffles?status=", 400, "status"}, {"/v1/raffles?status=open&status=open", 400, "status"},
		{"/v1/raffles?limit=10001", 422, "limit"}, {"/v1/raffles?limit=0", 422, "limit"}, {"/v1/raffles?size=270", 400, "size"},
		{"/v1/raffles/1?size=270", 400, "size"},
		{"/v1/raffles?q=", 422, "q"}, {"/v1/raffles?q=" + strings.Repeat("a", 65), 422, "q"}, {"/v1/raffles?q=%FF", 400, "q"}, {"/v1/raffles?q=a%00b", 400, "q"},
		{"/v1/raffles?q=a&q=b", 400, "q"}, {"/v1/raffles?category=", 422, "category"}, {"/v1/raffles?category=%0A", 400, "category"},
		{"/v1/raffles?ends_before=", 400, "ends_before"}, {"/v1/raffles?ends_before=2026-01-01", 400, "ends_before"}, {"/v1/raffles?ends_before=2026-01-01T00:00:00+09:00", 400, "ends_before"},
		{"/v1/raffles?ends_before=1970-01-01T00:00:00Z", 422, "ends_before"}, {"/v1/raffles?ends_before=9999-12-31T23:59:59-01:00", 422, "ends_before"},
		{"/v1/raffles?expand=", 400, "expand"}, {"/v1/raffles?expand=bids", 400, "expand"}, {"/v1/raffles?expand=product,product", 400, "expand"}, {"/v1/raffles?expand=product,", 400, "expand"},
		{"/v1/raffles?expand=product&limit=1001", 422, "limit"}, {"/v1/raffles?expand=highest&limit=101", 422, "limit"}, {"/v1/raffles?q=a&limit=1001", 422, "limit"},
		{"/v1/raffles?q=m&cursor=" + raffleCursor, 400, "cursor"}, {"/v1/raffles?ends_before=2026-01-01T00:00:00Z&cursor=" + raffleCursor, 400, "cursor"},
		{"/v1/products?limit=0", 422, "limit"}, {"/v1/products?limit=1001", 422, "limit"}, {"/v1/products?q=", 422, "q"}, {"/v1/products?status=open", 400, "status"},
		{"/v1/products?cursor=" + raffleCursor, 400, "cursor"}, {"/v1/products?cursor=x", 400, "cursor"}, {"/v1/products/", 404, ""},
		{"/v1/products/0", 404, ""}, {"/v1/products/x", 404, ""}, {"/v1/products/999999", 404, ""}, {"/v1/products/1?q=a", 400, "q"},
		{"/v1/bids", 400, "size"}, {"/v1/bids?size=0", 422, "size"}, {"/v1/bids?size=270&limit=2001", 422, "limit"}, {"/v1/bids?size=270&order=newest", 400, "order"},
		{"/v1/bids?size=270&cursor=" + bidCursor, 400, "cursor"}, {bids + "?size=270&cursor=" + sizeCursor, 400, "cursor"}, {"/v1/bids?size=260&cursor=" + sizeCursor, 400, "cursor"},
		{bids + "/0", 404, ""}, {bids + "/x", 404, ""}, {bids + "/01", 404, ""}, {bids + "/77777", 404, ""}, {"/v1/raffles/2/bids/1", 404, ""}, {"/v1/raffles/x/bids/1", 404, ""},
		{bids + "/1?size=270", 400, "size"}, {"/v1/me/bids", 401, ""},
	} {
		a := s.get(t, c.path)
		checkProblem(t, c.path, a, c.status, c.field)
	}
	for _, path := range []string{"/v1/raffles/1", "/v1/raffles/1/bids/1", "/v1/raffles/1/bids", "/v1/raffles/1/best", "/v1/raffles?q=m", "/v1/raffles?expand=highest", "/v1/products", "/v1/products/1"} {
		checkProblem(t, path+" by a scan", s.get(t, path, "Read-Path", "scan"), 400, "Read-Path")
	}
	for _, c := range []struct {
		name   string
		values []string
		status int
	}{
		{"Min-LSN", []string{""}, 400}, {"Min-LSN", []string{"x"}, 400}, {"Min-LSN", []string{"1"}, 400}, {"Min-LSN", []string{"0/0 "}, 200},
		{"Min-LSN", []string{"1/123456789"}, 400}, {"Min-LSN", []string{"0/0", "0/0"}, 400}, {"Min-LSN", []string{"0/0"}, 200}, {"Min-LSN", []string{"0/ab"}, 200}, {"Min-LSN", []string{"1-0/AB"}, 200}, {"Min-LSN", []string{"0-0/AB"}, 400}, {"Min-LSN", []string{"01-0/AB"}, 400},
		{"Min-LSN", []string{"FFFFFFFF/FFFFFFFF"}, 422},
		{"Read-Path", []string{"Scan"}, 400}, {"Read-Path", []string{"Redis"}, 400}, {"Read-Path", []string{""}, 400}, {"Read-Path", []string{"redis", "redis"}, 400},
	} {
		var headers []string
		for _, v := range c.values {
			headers = append(headers, c.name, v)
		}
		for _, path := range []string{someBids, "/v1/raffles/1/bids", "/v1/raffles/1/best", "/v1/raffles", "/v1/raffles/1", "/v1/raffles?q=m", "/v1/products", "/v1/products/1"} {
			a := s.get(t, path, headers...)
			if c.status != 200 {
				checkProblem(t, path+" "+c.name+" "+strings.Join(c.values, ","), a, c.status, c.name)
			} else if a.status != 200 {
				t.Errorf("%s %q: %d %s", c.name, c.values, a.status, a.body)
			}
		}
	}
}

func checkProblem(t *testing.T, what string, a answer, status int, field string) {
	t.Helper()
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d %s, want %d: %.300s", what, a.status, a.header.Get("Content-Type"), status, a.body)
		return
	}
	p := problemOf(t, a)
	if p.Status != status || p.Detail == "" || (field == "") != (len(p.Errors) == 0) || field != "" && p.Errors[0].Field != field {
		t.Errorf("%s: %+v, want it to name %q", what, p, field)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	for _, path := range []string{someBids, "/v1/raffles/1", "/v1/raffles", "/v1/bids?size=270", "/v1/raffles/1/bids/1", "/v1/raffles/1/bids", "/v1/raffles/1/best", "/v1/products", "/v1/products/1", "/hello", "/openapi/query.yaml"} {
		get, head := s.get(t, path), request(t, http.MethodHead, s.url+path)
		if get.status != 200 || head.status != 200 || head.body != "" || head.header.Get("Content-Length") != get.header.Get("Content-Length") {
			t.Errorf("HEAD %s: %d %v, GET %d %v", path, head.status, head.header, get.status, get.header)
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"} {
			a := request(t, method, s.url+path)
			if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", method, path, a.status, a.header.Get("Allow"))
			}
		}
	}
	hello := s.get(t, "/hello")
	if hello.body != "Hello World" || hello.header.Get("Content-Type") != "text/plain" {
		t.Errorf("hello: %q %v", hello.body, hello.header)
	}
	if d := s.get(t, "/openapi/query.yaml"); d.body != string(document) {
		t.Error("the document that is served is another")
	}
}

func TestReadPathIsIgnoredUnlessAllowed(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	c := s.config()
	c.AllowReadPath = false
	s.url = s.serve(t, c)
	testenv.Eventually(t, patience, "Redis answers", func() bool { return s.get(t, someBids).path() == "redis" })
	for _, p := range []string{"primary", "scan", "nonsense"} {
		s.expect(t, http.StatusOK, "redis", someBids, "Read-Path", p)
	}
}
