package main

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// Bids within a range of prices are those of SQL, by price, whichever path each page comes from.
func TestBidsOfAPriceRange_R4_R5(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	for asked, where := range map[string]string{
		"min_price=150000": "price >= 150000", "max_price=150000": "price <= 150000", "min_price=150000&max_price=150000": "price = 150000",
		"min_price=120000&max_price=149999": "price BETWEEN 120000 AND 149999", "min_price=190000": "price >= 190000", "max_price=99999": "false",
		"min_price=1&max_price=2147483647": "true",
	} {
		list := "/v1/raffles/1/bids?size=270&order=highest&" + asked
		s.sameOnAllPaths(t, list)
		want := collect(t, s, "SELECT id FROM bids WHERE raffle_id = 1 AND size = 270 AND "+where+" ORDER BY price DESC, created_at, id", scanID)
		if got := s.pages(t, list+"&limit=301", func(page int) string { return allPaths[page%4] }, nothing); !slices.Equal(got, want) {
			t.Errorf("R4: %s: %d bids, want %d, or another order", asked, len(got), len(want))
		}
		scan := s.expect(t, http.StatusOK, "scan", list, "Read-Path", "scan")
		if first := decode[bidPage](t, scan); len(first.Bids) != min(len(want), 50) {
			t.Errorf("%s by a scan: %d bids", asked, len(first.Bids))
		}
	}
	s.sameOnAllPaths(t, "/v1/raffles/1/bids?size=260&order=highest&max_price=2147483647")
}

// The bids of all sizes of a raffle are in one order, while bids come and go.
func TestBidsOfAllSizes_R4_R5(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	for n := range 40 {
		s.place(t, int16(255+5*(n%7)), int32(1000+n))
	}
	s.sameOnAllPaths(t, "/v1/raffles/1/bids")
	s.sameOnAllPaths(t, "/v1/raffles/1/bids?limit=200&order=newest")
	s.sameOnAllPaths(t, "/v1/raffles/2/bids")
	for first := range allPaths {
		want := collect(t, s, "SELECT id FROM bids WHERE raffle_id = 1 ORDER BY created_at DESC, id DESC", scanID)
		gone := map[int64]bool{}
		between := func(page int, p bidPage) {
			s.setCheckpoint(t, func(c *readmodel.Checkpoint) { c.LSN = s.lsn(t) }) // as in testSizePaged
			if page%5 == 0 {
				last := p.Bids[len(p.Bids)-1].ID
				s.cancel(t, last)
				gone[last] = true
				s.place(t, 260, 5)
			}
		}
		got := s.pages(t, "/v1/raffles/1/bids?limit=173", func(page int) string { return allPaths[(first+page)%4] }, between)
		if !slices.Equal(got, want) { // a bid is cancelled after its page was read
			t.Errorf("R4: from %s on: %d bids in another order than SQL's %d, %d cancelled", allPaths[first], len(got), len(want), len(gone))
		}
	}
}

// The best bids are those of SQL, also when a size gets its first bid or the best bid is cancelled.
func TestBestBids_R5(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	type best struct {
		RaffleID int64   `json:"raffle_id"`
		ClosedAt *string `json:"closed_at"`
		Bids     []struct {
			ID int64 `json:"id"`
		} `json:"bids"`
	}
	holds := func(raffle int64) []int64 {
		t.Helper()
		path := fmt.Sprintf("/v1/raffles/%d/best", raffle)
		got := decode[best](t, s.sameOnAllPaths(t, path))
		want := collect(t, s, fmt.Sprintf("SELECT DISTINCT ON (size) id FROM bids WHERE raffle_id = %d ORDER BY size, price DESC, created_at, id", raffle), scanID)
		var ids []int64
		for _, b := range got.Bids {
			ids = append(ids, b.ID)
		}
		if !slices.Equal(ids, want) || got.RaffleID != raffle || (got.ClosedAt == nil) != (raffle%3 != 0) {
			t.Errorf("the best of raffle %d: %+v, want %v", raffle, got, want)
		}
		return ids
	}
	holds(bidRaffle)
	holds(quietRaffle)
	for _, size := range []int16{285, 280} { // their first bids
		s.place(t, size, 777)
		s.place(t, size, 777)
		s.place(t, size, 776)
		holds(bidRaffle)
	}
	for range 3 {
		s.cancel(t, slices.Max(holds(bidRaffle)))
	}
	s.exec(t, "INSERT INTO bids (raffle_id, id, user_id, size, price, created_at) VALUES (3, 10013, 1, 260, 7, now()), (3, 10014, 1, 260, 7, now()), (3, 10015, 1, 265, 9, now())")
	s.reload(t)
	holds(3)
	if a := s.get(t, "/v1/raffles/3/best"); a.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("the winners: %v", a.header)
	}
}
