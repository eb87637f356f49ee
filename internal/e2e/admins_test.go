package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// adminsChangesTravel adds a product and its raffle, changes both, and reads each state back with its Commit-LSN on every path.
func (s *stack) adminsChangesTravel(t *testing.T) {
	t.Helper()
	admin := []string{"Authorization", s.login(t, "admin")}
	product := s.must(t, http.StatusCreated, "POST", s.commandURL+"/v1/products", map[string]any{"name": "Two", "model": "P-2", "color": "sand",
		"category": "sneakers", "image_url": "/p-2.png", "release_price": 1000, "release_date": "2026-11-24"}, admin...)
	var made struct {
		ID int64 `json:"id"`
	}
	if err := json.Unmarshal(product.body, &made); err != nil {
		t.Fatal(err)
	}
	opened := s.must(t, http.StatusCreated, "POST", s.commandURL+"/v1/raffles",
		map[string]any{"product_id": made.ID, "starts_at": "2126-01-01T00:00:00Z", "ends_at": "2126-01-02T00:00:00Z"}, admin...)
	path := opened.header.Get("Location")
	s.showsEverywhere(t, path, opened, "Two", "2126-01-02T00:00:00.000000Z")
	changed := s.must(t, http.StatusOK, "PATCH", fmt.Sprintf("%s/v1/products/%d", s.commandURL, made.ID), map[string]any{"name": "Three"}, admin...)
	s.showsEverywhere(t, path, changed, "Three", "2126-01-02T00:00:00.000000Z")
	moved := s.must(t, http.StatusOK, "PATCH", s.commandURL+path,
		map[string]any{"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2127-01-02T00:00:00Z"}, admin...)
	s.showsEverywhere(t, path, moved, "Three", "2127-01-02T00:00:00.000000Z")
	s.must(t, http.StatusCreated, "POST", s.commandURL+path+"/bids", map[string]int{"size": 270, "price": 1000}, admin...)
}

func (s *stack) showsEverywhere(t *testing.T, url string, write answer, name, ends string) {
	t.Helper()
	for _, path := range []string{"redis", "replica", "standby", "primary"} {
		var got struct {
			EndsAt  string `json:"ends_at"`
			Product struct {
				Name string `json:"name"`
			} `json:"product"`
		}
		testenv.EventuallyNoError(t, 5*time.Second, "the change arrives on "+path, func() error {
			a, err := s.do("GET", s.queryURL+url, nil, "Min-LSN", write.header.Get("Commit-LSN"), "Read-Path", path)
			if err == nil && a.status != http.StatusOK {
				err = fmt.Errorf("%d %s", a.status, a.body)
			}
			if err == nil {
				err = json.Unmarshal(a.body, &got)
			}
			return err
		})
		if got.EndsAt != ends || got.Product.Name != name {
			t.Errorf("%s shows %+v, want %s until %s", path, got, name, ends)
		}
	}
}
