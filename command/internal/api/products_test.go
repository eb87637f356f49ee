package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
)

func (r response) product(t testing.TB, status int) (d productDocument) {
	t.Helper()
	if err := json.Unmarshal(r.body, &d); err != nil || r.StatusCode != status || r.Header.Get(commitLSN) == "" {
		t.Fatalf("no product: %d %s %v", r.StatusCode, r.body, err)
	}
	return d
}

func TestProducts(t *testing.T) {
	s := newService(t)
	token := s.token(fixture.Admin)
	added := s.call("POST", "/v1/products", token, `{"name":"피라미드 2","model":"P-2","color":"sand","category":"sneakers","image_url":"https://img.example/p-2.png?w=1","release_price":189000,"release_date":"2026-11-24"}`)
	p := added.product(t, http.StatusCreated)
	want := productDocument{ID: p.ID, Name: "피라미드 2", Model: "P-2", Color: "sand", Category: "sneakers",
		ImageURL: "https://img.example/p-2.png?w=1", ReleasePrice: 189000, ReleaseDate: "2026-11-24"}
	path := fmt.Sprintf("/v1/products/%d", p.ID)
	if p != want || p.ID <= 1000 || added.Header.Get("Location") != path {
		t.Errorf("%s %v", added.body, added.Header)
	}
	want.ReleasePrice, want.ReleaseDate, want.Color = 1, "1970-01-01", "모래"
	for range 2 {
		changed := s.call("PATCH", path, token, `{"release_price":1,"release_date":"1970-01-01","color":"모래","name":null}`)
		if got := changed.product(t, http.StatusOK); got != want {
			t.Errorf("%s, want %+v", changed.body, want)
		}
	}
	s.admin("/v1/raffles", fmt.Sprintf(`{"product_id":%d,"ends_at":"2126-01-01T00:00:00Z"}`, p.ID)).raffle(t, http.StatusCreated)
}

// A bid counts by the times of the raffle at that moment.
func TestMovedRaffle(t *testing.T) {
	s := newService(t)
	token := s.token(fixture.Admin)
	if early := s.post("3", s.token(1), "", goodBid); early.StatusCode != http.StatusConflict {
		t.Errorf("before the start: %d", early.StatusCode)
	}
	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	moved := s.call("PATCH", "/v1/raffles/3", token, fmt.Sprintf(`{"starts_at":"2020-01-01T00:00:00Z","ends_at":%q}`, ends.Format(time.RFC3339)))
	if r := moved.raffle(t, http.StatusOK); r.StartsAt != "2020-01-01T00:00:00.000000Z" || r.EndsAt != ends.Format(timeFormat) || r.ClosedAt != nil {
		t.Errorf("%s", moved.body)
	}
	s.post("3", s.token(1), "", goodBid).bid(t)
	s.call("PATCH", "/v1/raffles/3", token, fmt.Sprintf(`{"ends_at":%q}`, time.Now().Add(100*time.Millisecond).Format(time.RFC3339Nano))).raffle(t, http.StatusOK)
	for end := time.Now().Add(10 * time.Second); ; {
		if late := s.post("3", s.token(1), "", goodBid); late.StatusCode == http.StatusConflict {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the raffle takes bids after its new end")
		}
	}
}
