package cors

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestOriginsAreReadAsBrowsersSendThem(t *testing.T) {
	const list = "https://shop.example.com, http://localhost:5173,http://[::1]:3000,,https://a_b.example:8443"
	o, err := Parse(list)
	if want := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }); err != nil || !slices.Equal(o, want) {
		t.Errorf("%q, %v", o, err)
	}
	if o, err := Parse(""); err != nil || len(o) != 0 {
		t.Errorf("no list: %q, %v", o, err)
	}
}

func TestWrongOriginsAreReportedTogether(t *testing.T) {
	wrong := []string{
		"*", "null", "shop.example.com", "https://", "https://shop.example.com/", "https://shop.example.com/x", "https://Shop.example.com",
		"ftp://shop.example.com", "https://*.example.com", "https://me@shop.example.com", "https://shop.example.com?x", "https://a b",
		"http://localhost:80", "https://shop.example.com:443", "http://localhost:0", "http://localhost:70000", `http://a"b`, "http://a#b",
	}
	_, err := Parse("http://localhost:443," + strings.Join(wrong, ","))
	if err == nil || strings.Contains(err.Error(), "localhost:443") {
		t.Fatalf("%v", err)
	}
	for _, entry := range wrong {
		if n := strings.Count(err.Error(), strings.ReplaceAll(entry, `"`, `\"`)+`"`); n == 0 {
			t.Errorf("%s is not reported: %v", entry, err)
		}
	}
}

func TestPagesOfTheServersOwnOriginAndListedOnesAreAllowed(t *testing.T) {
	o := Origins{"https://shop.example.com"}
	for origin, want := range map[string]bool{
		"": true, "http://api.example.com": true, "https://API.example.com": true, "https://shop.example.com": true,
		"http://shop.example.com": false, "https://shop.example.com.evil": false, "https://api.example.com:8443": false, "null": false, "%": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "http://api.example.com/socket.io/", nil)
		r.Header.Set("Origin", origin)
		if got := o.Allow(r); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
}
