package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// params reads query parameters and collects everything that is wrong with them. It does what
// url.ParseQuery does without making a map.
type params struct {
	given      [maxParams]param
	n          int
	malformed  []web.FieldError // 400
	outOfRange []web.FieldError // 422
}

type param struct{ name, value string }

// maxParams is at least the number of parameters that any route knows. Only known parameters are kept, each once.
const maxParams = 8

// maxFlaws is how many wrong parameters are named.
const maxFlaws = 8

func readParams(r *http.Request, allowed ...string) *params {
	p := &params{}
	for rest := r.URL.RawQuery; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "&")
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || strings.Contains(part, ";") {
			p.flaw("query", "can't be decoded")
			continue
		}
		p.add(name, value, allowed)
	}
	if len(p.malformed) > 1 {
		slices.SortFunc(p.malformed, func(a, b web.FieldError) int { return strings.Compare(a.Field, b.Field) })
		p.malformed = slices.Compact(p.malformed)
	}
	return p
}

func (p *params) add(name, value string, allowed []string) {
	switch _, twice := p.get(name); {
	case !slices.Contains(allowed, name):
		p.flaw(name, "is not known here")
	case twice:
		p.flaw(name, "is given more than once")
	default:
		p.given[p.n] = param{name, value}
		p.n++
	}
}

// flaw names a wrong parameter, unless many are named already.
func (p *params) flaw(name, detail string) {
	if len(p.malformed) < maxFlaws {
		p.malformed = append(p.malformed, web.FieldError{Field: name, Detail: detail})
	}
}

func (p *params) get(name string) (value string, given bool) {
	for _, one := range p.given[:p.n] {
		if one.name == name {
			return one.value, true
		}
	}
	return "", false
}

// number reads a whole number from 1 to limit. Without the parameter it returns missing.
func (p *params) number(name string, limit, missing int) int {
	s, given := p.get(name)
	if !given {
		return missing
	}
	if digits := strings.TrimPrefix(s, "-"); digits == "" || strings.Trim(digits, "0123456789") != "" {
		p.malformed = append(p.malformed, web.FieldError{Field: name, Detail: "must be a whole number"})
		return missing
	}
	n, err := strconv.Atoi(s) // fails only for a number beyond the range of int
	if err != nil || n < 1 || n > limit {
		p.outOfRange = append(p.outOfRange, web.FieldError{Field: name, Detail: fmt.Sprintf("must be from 1 to %d", limit)})
	}
	return n
}

// maxText is how many characters a text in a parameter has at most.
const maxText = 64

// text reads a text that is not empty. Without the parameter it returns "".
func (p *params) text(name string) string {
	s, given := p.get(name)
	switch {
	case !given:
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		p.malformed = append(p.malformed, web.FieldError{Field: name, Detail: "must be UTF-8 without control characters"})
	case s == "" || utf8.RuneCountInString(s) > maxText:
		p.outOfRange = append(p.outOfRange, web.FieldError{Field: name, Detail: fmt.Sprintf("must have 1 to %d characters", maxText)})
	}
	return s
}

// time reads a time as microseconds since 1970, rounded up. Without the parameter it returns 0.
func (p *params) time(name string) int64 {
	s, given := p.get(name)
	if !given {
		return 0
	}
	t, err := time.Parse(time.RFC3339, s)
	switch {
	case err != nil:
		p.malformed = append(p.malformed, web.FieldError{Field: name, Detail: "must be a time as in RFC 3339, with + written as %2B"})
	case t.Unix() < 1 || t.UTC().Year() > 9999:
		p.outOfRange = append(p.outOfRange, web.FieldError{Field: name, Detail: "must be after 1970-01-01T00:00:00Z and before the year 10000"})
	}
	return t.Add(time.Microsecond - 1).UnixMicro()
}

// set reads some of the words, with commas between them.
func (p *params) set(name string, words ...string) (chosen []string) {
	list, given := p.get(name)
	if !given {
		return nil
	}
	for word := range strings.SplitSeq(list, ",") {
		if !slices.Contains(words, word) || slices.Contains(chosen, word) {
			p.malformed = append(p.malformed, web.FieldError{Field: name, Detail: "must be some of " + strings.Join(words, ", ") + ", with commas between them"})
			return nil
		}
		chosen = append(chosen, word)
	}
	return chosen
}

func (p *params) required(name string) {
	if _, given := p.get(name); !given {
		p.malformed = append(p.malformed, web.FieldError{Field: name, Detail: "is required"})
	}
}

// choice reads one of some words. Without the parameter it returns the first.
func (p *params) choice(name string, words ...string) string {
	word, given := p.get(name)
	if !given {
		return words[0]
	}
	if slices.Contains(words, word) {
		return word
	}
	p.malformed = append(p.malformed, web.FieldError{Field: name, Detail: "must be one of " + strings.Join(words, ", ")})
	return words[0]
}

// cursor reads the cursor, which must have been made for the same list. Without the parameter it returns nil.
func (p *params) cursor(list cursor) (*cursor, error) {
	text, given := p.get("cursor")
	if !given {
		return nil, nil
	}
	c, err := parseCursor(text)
	if err != nil || !c.continues(list) {
		return nil, errBadCursor
	}
	return &c, nil
}

func (p *params) err() error {
	if len(p.malformed) > 0 {
		return web.BadRequest.Problem("a query parameter is wrong", p.malformed...)
	}
	if len(p.outOfRange) > 0 {
		return web.BadValue.Problem("a query parameter is out of range", p.outOfRange...)
	}
	return nil
}

// want reads the request headers Min-LSN and, where it is allowed, Read-Path.
func (a *API) want(r *http.Request) (w bidbook.Want, err error) {
	// The header names are in canonical form, which saves converting them.
	if list := r.Header["Min-Lsn"]; len(list) > 0 {
		if w.Min, err = lsn.ParsePosition(list[0]); err != nil || len(list) > 1 {
			return w, badHeader("Min-LSN", "must be one position of the form T-X/X or X/X, as Commit-LSN and Read-LSN have it")
		}
	}
	list := r.Header["Read-Path"]
	if !a.allowReadPath || len(list) == 0 {
		return w, nil
	}
	w.Force = bidbook.Path(list[0])
	switch w.Force {
	case bidbook.PathRedis, bidbook.PathReplica, bidbook.PathStandby, bidbook.PathPrimary, bidbook.PathScan:
		if len(list) == 1 {
			return w, nil
		}
	}
	return w, badHeader("Read-Path", "must be one of redis, replica, standby, primary, scan")
}

func badHeader(name, detail string) error {
	return web.BadRequest.Problem("a request header is wrong", web.FieldError{Field: name, Detail: detail})
}
