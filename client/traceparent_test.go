package client

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// Each attempt of a call has the traceparent of its context, and a call without one has none.
func TestRequestsHaveTheTraceparentOfTheirContext(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Traceparent"))
		if len(got) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write([]byte(`{"raffles":[]}`)); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	type key struct{}
	c := New(server.URL, WithTraceparent(func(ctx context.Context) string {
		text, _ := ctx.Value(key{}).(string)
		return text
	}))
	defer c.Close()
	for _, ctx := range []context.Context{context.WithValue(t.Context(), key{}, parent), t.Context()} {
		if _, err := c.Raffles(ctx, RaffleFilter{}); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{parent, parent, ""}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
