package api

import (
	"net/http"
	"net/url"
)

// appendLink appends the value of a Link header (RFC 8288) that names the next page: a reference with the parameters of
// this request, but for the cursor. The path needs no escapes, because each id in it is a number.
func (l list) appendLink(dst []byte, next *cursor) []byte {
	dst = append(append(append(dst, '<'), l.path...), '?')
	for _, p := range l.params.given[:l.params.n] {
		if p.name != "cursor" {
			dst = append(append(append(dst, p.name...), '='), url.QueryEscape(p.value)...)
			dst = append(dst, '&')
		}
	}
	return append(next.append(append(dst, "cursor="...)), `>; rel="next"`...)
}

// setLink writes the header of a page that has a next one.
func (l list) setLink(h http.Header, next *cursor) {
	if next != nil {
		h["Link"] = []string{string(l.appendLink(nil, next))}
	}
}
