package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// requests are those of one operation: with its examples, and with each value in turn replaced by one at the edge of its
// range, beyond it, of another type, or missing. An operation that needs no token is asked by the last
// asker alone.
func (w *walk) requests(method, path string, o *openapi3.Operation, by []asker) []sent {
	if o.Security != nil && len(*o.Security) == 0 {
		by = by[len(by)-1:]
	}
	var all []sent
	sets := w.parameterSets(o.Parameters)
	for _, given := range sets {
		all = append(all, given.request(method, path, exampleBody(o)))
	}
	if o.RequestBody != nil {
		for _, body := range bodies(o.RequestBody.Value.Content["application/json"]) {
			all = append(all, sets[0].request(method, path, body))
		}
		other := all[0]
		other.header = other.header.Clone()
		other.header.Set("Content-Type", "text/plain")
		all = append(all, other)
	}
	var out []sent
	for _, r := range all {
		for _, who := range by {
			r.by, r.header = who, r.header.Clone()
			out = append(out, r)
		}
	}
	return out
}

// exampleBody is the example of an operation's body.
func exampleBody(o *openapi3.Operation) []byte {
	if o.RequestBody == nil {
		return nil
	}
	return encode(o.RequestBody.Value.Content["application/json"].Example)
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only for values that no document can hold
	}
	return text
}

// values are what parameters have in one request. A parameter may have several values, or none.
type values struct {
	parameters openapi3.Parameters
	of         map[*openapi3.Parameter][]string
}

func (v values) request(method, path string, body []byte) sent {
	r := sent{method: method, path: path, header: http.Header{}, body: body}
	if body != nil {
		r.header.Set("Content-Type", "application/json")
	}
	query := url.Values{}
	for _, ref := range v.parameters {
		p := ref.Value
		for _, text := range v.of[p] {
			switch p.In {
			case "path":
				r.path = strings.Replace(r.path, "{"+p.Name+"}", url.PathEscape(text), 1)
			case "query":
				query.Add(p.Name, text)
			case "header":
				r.header.Add(p.Name, text)
			}
		}
	}
	r.query = query.Encode()
	return r
}

// parameterSets begins with the examples of the required parameters.
func (w *walk) parameterSets(parameters openapi3.Parameters) []values {
	usually := map[*openapi3.Parameter][]string{}
	for _, ref := range parameters {
		if p := ref.Value; p.Required {
			usually[p] = []string{w.usualValue(p)}
		}
	}
	sets := []values{{parameters, usually}}
	with := func(p *openapi3.Parameter, texts ...string) {
		of := maps.Clone(usually)
		of[p] = texts
		sets = append(sets, values{parameters, of})
	}
	for _, ref := range parameters {
		p := ref.Value
		for _, text := range w.texts(p) {
			if p.In == "header" && strings.ContainsFunc(text, func(c rune) bool { return c > '~' }) {
				continue
			}
			with(p, text)
		}
		if p.In == "query" {
			with(p, w.usualValue(p), w.usualValue(p))
		}
		if p.Required && p.In != "path" {
			with(p)
		}
	}
	return sets
}

// usualValue is the value of a parameter in a request that should pass.
func (w *walk) usualValue(p *openapi3.Parameter) string {
	if text, known := w.exist[p.Name]; known {
		return text
	}
	return fmt.Sprint(p.Example)
}

// texts are good and bad values of a parameter.
func (w *walk) texts(p *openapi3.Parameter) []string {
	list := []string{w.usualValue(p), "x", "1.5", "-1", "99999999999999999999", strings.Repeat("x", 300), "ü", "a b", "%"}
	if p.In == "query" {
		list = append(list, "")
	}
	s := p.Schema.Value
	for _, bound := range []*float64{s.Min, s.Max} {
		if bound != nil && *bound < 1<<53 {
			for _, d := range []float64{-1, 0, 1} {
				list = append(list, strconv.FormatFloat(*bound+d, 'f', -1, 64))
			}
		}
	}
	for _, word := range s.Enum {
		list = append(list, fmt.Sprint(word))
	}
	return list
}

// bodies are those that differ from the example in one property, or are no such object at all.
func bodies(m *openapi3.MediaType) [][]byte {
	out := [][]byte{nil, []byte("{"), []byte("null"), []byte("[]"), []byte("1"), []byte("{}"), []byte(`"\xff"`), []byte(strings.Repeat(" ", 17<<10) + "{}")}
	shown, _ := m.Example.(map[string]any)
	change := func(name string, v any) {
		body := maps.Clone(shown)
		body[name] = v
		out = append(out, encode(body))
	}
	change("colour", "red")
	properties := m.Schema.Value.Properties
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		without := maps.Clone(shown)
		delete(without, name)
		out = append(out, encode(without))
		for _, v := range []any{nil, true, "", "x", 1.5, -1, 0, 1, []any{}, map[string]any{}, strings.Repeat("x", 200)} {
			change(name, v)
		}
		s := properties[name].Value
		for _, bound := range []*float64{s.Min, s.Max} {
			if bound != nil && *bound < 1<<53 {
				change(name, int64(*bound))
				change(name, int64(*bound)+1)
				change(name, int64(*bound)-1)
			}
		}
	}
	return out
}
