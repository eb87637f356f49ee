package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// checked are answers that a client may keep and ask for again, with how long it may keep them unasked.
var checked = map[string]string{
	"/v1/raffles/1": "no-cache", "/v1/raffles/6": "public, max-age=3600",
	"/v1/raffles/1/bids?size=270": "no-cache", "/v1/raffles/1/bids?size=260&order=highest": "no-cache",
	"/v1/raffles/1/bids": "no-cache", "/v1/raffles/1/best": "no-cache",
	"/v1/raffles/1/bids?size=255": "no-cache", "/v1/bids?size=270&limit=7": "no-cache",
}

// A tag is that of the content, whatever path answers. Who has the content gets 304 with a new position.
func TestAnswersAreCheckedByTheirTag_R3_R5(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	tags := map[string]string{}
	for path, cache := range checked {
		for _, from := range allPaths {
			a := s.expect(t, http.StatusOK, from, path, "Read-Path", from)
			tag := a.header.Get("Etag")
			if was, is := tags[path]; is && was != tag || tag == "" || a.header.Get("Cache-Control") != cache {
				t.Errorf("%s from %s: tag %s, want %s, Cache-Control %q", path, from, tag, was, a.header.Get("Cache-Control"))
			}
			tags[path] = tag
			b := s.expect(t, http.StatusNotModified, from, path, "Read-Path", from, "If-None-Match", `"x", `+tag)
			if b.body != "" || b.header.Get("Read-LSN") == "" || b.header.Get("Read-Lag-Ms") == "" || b.header.Get("Etag") != tag ||
				b.header.Get("Cache-Control") != cache || b.header.Get("Link") != a.header.Get("Link") && from == "redis" {
				t.Errorf("R3: %s from %s: %v", path, from, b.header)
			}
		}
	}
	s.place(t, 270, 2_000_000_000)
	for path, tag := range tags {
		want := http.StatusNotModified
		if path == "/v1/raffles/1" || path == "/v1/raffles/1/bids" || path == "/v1/raffles/1/best" || strings.Contains(path, "size=270") {
			want = http.StatusOK
		}
		for _, from := range allPaths {
			s.expect(t, want, from, path, "Read-Path", from, "If-None-Match", tag)
		}
	}
	page := decode[bidPage](t, s.get(t, "/v1/bids?size=270&limit=7"))
	s.cancel(t, page.Bids[0].ID)
	s.expect(t, http.StatusNotModified, "redis", "/v1/raffles/1", "If-None-Match", tags["/v1/raffles/1"])
	s.expect(t, http.StatusNotModified, "redis", "/v1/bids?size=270&limit=7", "If-None-Match", tags["/v1/bids?size=270&limit=7"])
}

// What can't change any more may be kept, anything else not.
func TestABidOfAClosedRaffleIsFinal(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	for path, want := range map[string]string{"/v1/raffles/1/bids/10002": "no-cache", "/v1/raffles/3/bids/10009": "public, max-age=31536000, immutable"} {
		s.exec(t, "INSERT INTO bids (raffle_id, id, user_id, size, price, created_at) VALUES (3, 10009, 1, 260, 7, now()) ON CONFLICT DO NOTHING")
		s.standby.WaitReplay(t)
		if a := s.expect(t, http.StatusOK, "replica", path); a.header.Get("Cache-Control") != want {
			t.Errorf("%s: %q, want %q", path, a.header.Get("Cache-Control"), want)
		}
	}
	if a := s.get(t, "/v1/raffles/3"); a.header.Get("Vary") != "Min-LSN" {
		t.Errorf("a closed raffle: %v", a.header)
	}
}

// Long pages come compressed to those who accept that. Short ones never do.
func TestLongPagesAreCompressed(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	for path, long := range map[string]bool{
		"/v1/raffles/1/bids?size=270&limit=2000": true, "/v1/bids?size=270&limit=101": true, "/v1/raffles?status=all&limit=299": true,
		"/v1/raffles/1/bids?size=270&limit=100": false, "/v1/raffles/1": false, "/v1/raffles?status=all&limit=99": false,
	} {
		plain := s.expect(t, http.StatusOK, "redis", path) // another path's cursor has another position
		for coding, open := range map[string]func(io.Reader) (io.Reader, error){
			"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
			"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
		} {
			a := s.expect(t, http.StatusOK, "redis", path, "Accept-Encoding", coding)
			if !long {
				if a.body != plain.body || a.header.Get("Content-Encoding")+a.header.Get("Vary") != "" {
					t.Errorf("%s as %s: %v", path, coding, a.header)
				}
				continue
			}
			r, err := open(strings.NewReader(a.body))
			if err != nil {
				t.Fatalf("%s as %s: %v", path, coding, err)
			}
			if body, err := io.ReadAll(r); err != nil || string(body) != plain.body {
				t.Errorf("%s as %s: another body, %v", path, coding, err)
			}
			tag := a.header.Get("Etag")
			if a.header.Get("Content-Encoding") != coding || a.header.Get("Vary") != "Accept-Encoding" || len(a.body) > len(plain.body)/2 || tag == plain.header.Get("Etag") {
				t.Errorf("%s as %s: %d of %d bytes, %v", path, coding, len(a.body), len(plain.body), a.header)
			}
			s.expect(t, http.StatusNotModified, a.path(), path, "Accept-Encoding", coding, "If-None-Match", tag)
			s.expect(t, http.StatusOK, a.path(), path, "If-None-Match", tag)
		}
	}
}
