package live

import (
	"net/http"
	"testing"
)

// Only pages of the server's own origin and of listed ones open a session, by either transport.
func TestPagesOfOtherOriginsOpenNoSession(t *testing.T) {
	f := startFeed(t)
	for origin, allowed := range map[string]bool{
		"": true, f.url: true, "https://shop.example.com": true, "https://evil.example.com": false, "null": false,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		if _, status := f.dial(t, header.Clone()); (status == http.StatusSwitchingProtocols) != allowed {
			t.Errorf("%q, websocket: %d", origin, status)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/socket.io/?EIO=4&transport=polling", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Body.Close(); err != nil || (w.StatusCode == http.StatusOK) != allowed {
			t.Errorf("%q, polling: %d %v", origin, w.StatusCode, err)
		}
	}
}
