package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/client"
)

// api is a client of both services without a front door.
func (s *stack) api(t testing.TB, options ...client.Option) *client.Client {
	t.Helper()
	through := client.WithHTTPClient(&http.Client{Transport: apart{query: s.queryURL, next: s.client.Transport}})
	return client.New(s.commandURL, append([]client.Option{through}, options...)...)
}

// session is a client of a user of the demo data.
func (s *stack) session(t testing.TB, user string, options ...client.Option) *client.Session {
	t.Helper()
	session, err := s.api(t, options...).Login(t.Context(), user, "pyramid")
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// strict is a session that sends no request again, so that each refusal shows. The login may take several attempts.
func (s *stack) strict(t testing.TB, user string) *client.Session {
	t.Helper()
	return s.api(t, client.WithAttempts(1)).Resume(s.session(t, user).Tokens())
}

// apart sends what query answers to query, as the front door does, and leaves the rest as it is.
type apart struct {
	query string // its URL
	next  http.RoundTripper
}

func (a apart) RoundTrip(r *http.Request) (*http.Response, error) {
	if path := r.URL.Path; r.Method == http.MethodGet && path != "/v1/me" && !strings.HasPrefix(path, "/.well-known/") {
		r = r.Clone(r.Context())
		r.Host, r.URL.Host = "", strings.TrimPrefix(a.query, "http://")
	}
	return a.next.RoundTrip(r)
}

// login returns the header of a user's requests.
func (s *stack) login(t testing.TB, user string) (authorization string) {
	t.Helper()
	return "Bearer " + s.session(t, user).Tokens().Access
}
