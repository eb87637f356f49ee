// Package cors says which pages of other origins may use the API, and which headers they may send and read (CORS
// protocol, Fetch standard). The front door answers browsers by it, and query refuses sessions of socket.io by it.
package cors

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MaxAge is how long a browser may keep the answer to a preflight request, in seconds. Chromium keeps none for longer.
const MaxAge = 7200

// RequestHeaders are the headers that only pages of listed origins may send.
var RequestHeaders = []string{
	"Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Min-LSN", "Read-Path", "X-Request-Id",
	"traceparent", "tracestate",
}

// AnswerHeaders are the headers of answers that only pages of listed origins may read.
var AnswerHeaders = []string{
	"Allow", "Commit-LSN", "ETag", "Idempotency-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy",
	"Read-LSN", "Read-Lag-Ms", "Read-Path", "Retry-After", "WWW-Authenticate", "X-Request-Id",
}

// Origins are the origins whose pages may use the API besides pages of its own origin.
type Origins []string

// Parse reads a list such as "https://shop.example.com,http://localhost:5173". The error names every wrong entry.
func Parse(list string) (Origins, error) {
	var o Origins
	err := o.UnmarshalText([]byte(list))
	return o, err
}

// UnmarshalText is Parse for package env.
func (o *Origins) UnmarshalText(text []byte) error {
	var read Origins
	var wrong []error
	for entry := range strings.SplitSeq(string(text), ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		wrong = append(wrong, check(entry))
		read = append(read, entry)
	}
	*o = read
	return errors.Join(wrong...)
}

// isOrigin matches an origin as browsers send it (RFC 6454). HAProxy takes every text that it matches for one word.
var isOrigin = regexp.MustCompile(`^(https?)://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?$`)

func check(entry string) error {
	parts := isOrigin.FindStringSubmatch(entry)
	if parts == nil {
		return fmt.Errorf("%q is not an origin such as https://shop.example.com or http://localhost:5173: scheme, host and port alone, in lower case", entry)
	}
	if port, err := strconv.Atoi(parts[2]); err == nil && port > 65535 {
		return fmt.Errorf("%q has no port from 1 to 65535", entry)
	}
	if parts[1]+parts[2] == "http80" || parts[1]+parts[2] == "https443" {
		return fmt.Errorf("%q names the port of its scheme, which browsers leave out", entry)
	}
	return nil
}

// Allow says whether the sender of a request may open a session: a page of the server's own origin or of a listed one,
// or a client that names no origin, which is no page.
func (o Origins) Allow(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(o, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
