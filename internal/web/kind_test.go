package web

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Each kind has a URI of its own and a line in the list that clients read.
func TestKindsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/PROBLEMS.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, k := range Kinds {
		if seen[k.URI] {
			t.Errorf("%s is there twice", k.URI)
		}
		seen[k.URI] = true
		if line := "| `" + k.URI + "` | " + strconv.Itoa(k.Status) + " | " + k.Title + " |"; !strings.Contains(string(text), line) {
			t.Errorf("docs/PROBLEMS.md has no line %s", line)
		}
	}
	if n := strings.Count(string(text), "| `/problems/"); n != len(Kinds) {
		t.Errorf("docs/PROBLEMS.md lists %d kinds, there are %d", n, len(Kinds))
	}
}

// RFC 6750, section 3.1: the answer to a request without a token names no error.
func TestChallenges(t *testing.T) {
	for _, c := range []struct {
		kind  Kind
		error string
	}{{NoToken, ""}, {WrongCredentials, ""}, {BadToken, `error="invalid_token"`}, {AdminsOnly, `error="insufficient_scope"`}, {NotYours, `error="insufficient_scope"`}} {
		w := httptest.NewRecorder()
		WriteProblem(w, httptest.NewRequest(http.MethodGet, "/", nil), c.kind.Problem("no"))
		got := w.Header().Get("WWW-Authenticate")
		if !strings.HasPrefix(got, `Bearer realm="stock-pyramid"`) || !strings.Contains(got, c.error) || strings.Contains(got, "error=") != (c.error != "") {
			t.Errorf("%s: %q", c.kind.URI, got)
		}
	}
}
