package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzReadJSON reads a bid's body. Either it is refused with a problem, or it is UTF-8 and encoding/json reads it as
// an object with known names only.
func FuzzReadJSON(f *testing.F) {
	for _, body := range []string{`{"size":270,"price":1000}`, `{"size":270,"price":1000,"quantity":null}`, `{"Size":1}`,
		`{"size":1,"size":2}`, `[]`, `{"price":1e3}`, `{"s\u0069ze":1}`, `{"size":99999}`, "{}\x00", ``, "{\"size\":1,\"\xff\":1}"} {
		f.Add(body)
	}
	type bid struct {
		Size     int16  `json:"size"`
		Price    int32  `json:"price"`
		Quantity *int32 `json:"quantity"`
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		var got bid
		if err := ReadJSON(httptest.NewRecorder(), r, &got); err != nil {
			var p *Problem
			if !errors.As(err, &p) || (p.Status != 400 && p.Status != 413 && p.Status != 422) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if !utf8.ValidString(body) {
			t.Fatalf("%q is taken and no UTF-8", body)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &fields); err != nil {
			t.Fatalf("%q is taken, but no JSON object: %v", body, err)
		}
		for name := range fields {
			if name != "size" && name != "price" && name != "quantity" {
				t.Fatalf("%q is taken with the name %q", body, name)
			}
		}
	})
}
