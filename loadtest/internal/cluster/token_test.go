package cluster

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryCallNeedsTheToken(t *testing.T) {
	_, addr := serveAgent(t, runnerFunc(calculated))
	for _, token := range []Token{"", "wrong", secret + "x", secret[1:]} {
		for _, path := range []string{"/v1/clock", "/v1/jobs/test", "/v1/jobs/test/result", "/v1/jobs/test/files/journal", "/"} {
			m := &member{addr: addr, token: token, client: http.DefaultClient}
			var refused refusal
			if err := m.call(t.Context(), http.MethodGet, path, nil, nil); !errors.As(err, &refused) || refused.code != http.StatusUnauthorized {
				t.Errorf("%s with %q: %v", path, token, err)
			}
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", scheme)
	if Token("").allows(r) {
		t.Error("the empty token lets the empty token in")
	}
}

func TestReadToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from a file, long enough\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file, value, want, problem string
	}{
		{"", "", "", "set LOADTEST_TOKEN_FILE"},
		{"", "short", "", "5 characters"},
		{"", "long enough to be a secret", "long enough to be a secret", ""},
		{file, "long enough to be a secret", "from a file, long enough", ""},
		{file + "x", "", "", "no such file"},
	} {
		t.Setenv(TokenFileVar, c.file)
		t.Setenv(TokenVar, c.value)
		got, err := ReadToken()
		if string(got) != c.want || (err != nil) != (c.problem != "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
}
