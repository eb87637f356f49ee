package main

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

type bidPage struct {
	Bids []struct {
		ID    int64 `json:"id"`
		Price int32 `json:"price"`
		Size  int16 `json:"size"`
	} `json:"bids"`
	NextCursor *string `json:"next_cursor"`
}

type rafflePage struct {
	Raffles []struct {
		ID int64 `json:"id"`
	} `json:"raffles"`
	NextCursor *string `json:"next_cursor"`
}

var cursorPart = regexp.MustCompile(`"next_cursor":"[A-Za-z0-9_-]+"`)

// One suite over every Reader, through the API. The header Read-Path forces the path.
func TestEveryReader(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	t.Run("R3_path_position_lag", s.testPositions)
	t.Run("R5_same_bytes_on_all_paths", s.testSameBytes)
	t.Run("order_is_SQLs", s.testOrder)
	t.Run("raffles_paged_by_status", s.testRafflesPaged)
	t.Run("R4_newest_of_a_size_paged", s.testSizePaged)
	t.Run("R4_paging_while_bids_come_and_go", s.testPaging)
}

// sameOnAllPaths asks every path and returns one answer; next_cursor may differ.
func (s *stack) sameOnAllPaths(t *testing.T, path string) answer {
	t.Helper()
	var first answer
	for i, p := range allPaths {
		a := s.expect(t, http.StatusOK, p, path, "Read-Path", p)
		if i == 0 {
			first = a
		}
		if cursorPart.ReplaceAllString(a.body, "") != cursorPart.ReplaceAllString(first.body, "") {
			t.Errorf("R5: %s: %s answers\n%.2000s\nbut %s\n%.2000s", path, p, a.body, allPaths[0], first.body)
		}
	}
	return first
}

func (s *stack) testSameBytes(t *testing.T) {
	for _, path := range []string{
		"/v1/raffles", "/v1/raffles?status=closed&limit=300", "/v1/raffles?status=all&limit=10000", "/v1/raffles?limit=299", "/v1/raffles?limit=300",
		"/v1/raffles/1", "/v1/raffles/2", "/v1/raffles/3", "/v1/raffles/900",
		"/v1/raffles/1/bids?size=270", "/v1/raffles/1/bids?size=270&order=highest&limit=2000", "/v1/raffles/1/bids?size=270&order=newest&limit=2000",
		"/v1/raffles/1/bids?size=260&limit=3", "/v1/raffles/1/bids?size=260&order=highest&limit=2", "/v1/raffles/1/bids?size=250",
		"/v1/raffles/1/bids?size=255", "/v1/raffles/2/bids?size=270&order=highest", "/v1/raffles/1/bids?size=32767",
		"/v1/bids?size=270", "/v1/bids?size=270&limit=2000", "/v1/bids?size=260", "/v1/bids?size=250&limit=1",
	} {
		a := s.sameOnAllPaths(t, path)
		if strings.Contains(path, "bids") || strings.Contains(path, "raffles?") {
			scan := s.expect(t, http.StatusOK, "scan", path, "Read-Path", "scan")
			if cursorPart.ReplaceAllString(scan.body, "") != cursorPart.ReplaceAllString(a.body, "") {
				t.Errorf("R5: %s: scan answers\n%.2000s\nbut others\n%.2000s", path, scan.body, a.body)
			}
		}
	}
	detail := decode[struct {
		BidCount int64 `json:"bid_count"`
		Product  struct {
			Name string `json:"name"`
		} `json:"product"`
		Sizes []struct {
			Size, Count, Highest int64
		} `json:"sizes"`
	}](t, s.sameOnAllPaths(t, "/v1/raffles/1"))
	if detail.BidCount != manyBids+4 || len(detail.Sizes) != 3 || detail.Sizes[1].Highest != 2147483647 || detail.Sizes[2].Count != manyBids {
		t.Errorf("detail %+v", detail)
	}
	if want := "Größe \"2\" <b>\\ \t\x01 👟"; detail.Product.Name != want {
		t.Errorf("name %q, want %q", detail.Product.Name, want)
	}
}

func (s *stack) testPositions(t *testing.T) {
	for _, p := range allPaths {
		a := s.expect(t, http.StatusOK, p, "/v1/raffles/1/bids?size=250", "Read-Path", p)
		at, err := lsn.ParsePosition(a.header.Get("Read-LSN"))
		if err != nil || at.Timeline != 1 || at.LSN == 0 || at.LSN > s.lsn(t) {
			t.Errorf("R3: %s: Read-LSN %q (%v)", p, a.header.Get("Read-LSN"), err)
		}
		if lag, err := strconv.Atoi(a.header.Get("Read-Lag-Ms")); err != nil || lag < 0 || (p == "primary" && lag != 0) {
			t.Errorf("R3: %s: Read-Lag-Ms %q", p, a.header.Get("Read-Lag-Ms"))
		}
	}
	s.expect(t, http.StatusNotFound, "standby", "/v1/raffles/999999", "Read-Path", "standby")
}

// pages follows next_cursor, with the path of each page chosen by its number, and returns the ids.
func (s *stack) pages(t *testing.T, list string, path func(page int) string, between func(page int, p bidPage)) (ids []int64) {
	t.Helper()
	next := ""
	for n := 0; ; n++ {
		a := s.expect(t, http.StatusOK, path(n), list+next, "Read-Path", path(n))
		if a.status != http.StatusOK {
			t.Fatalf("page %d on %s: %d %s", n, path(n), a.status, a.body)
		}
		p := decode[bidPage](t, a)
		for _, b := range p.Bids {
			ids = append(ids, b.ID)
		}
		if p.NextCursor == nil {
			return ids
		}
		next = "&cursor=" + *p.NextCursor
		a.linksTo(t, list+next)
		between(n, p)
	}
}

func nothing(int, bidPage) {}

// linksTo checks where the header Link leads.
func (a answer) linksTo(t testing.TB, next string) {
	t.Helper()
	if got, want := a.header.Get("Link"), "<"+next+`>; rel="next"`; got != want {
		t.Errorf("Link: %s, want %s", got, want)
	}
}

func (s *stack) testOrder(t *testing.T) {
	for order, by := range map[string]string{"newest": "created_at DESC, id DESC", "highest": "price DESC, created_at, id"} {
		want := collect(t, s, "SELECT id FROM bids WHERE raffle_id = 1 AND size = 270 ORDER BY "+by, scanID)
		for _, p := range allPaths {
			got := s.pages(t, "/v1/raffles/1/bids?size=270&limit=101&order="+order, func(int) string { return p }, nothing)
			if !slices.Equal(got, want) {
				t.Errorf("%s on %s: %d bids in another order than SQL's %d", order, p, len(got), len(want))
			}
		}
	}
}

// The newest bids of a size over all raffles, from every path in turn.
func (s *stack) testSizePaged(t *testing.T) {
	want := collect(t, s, "SELECT id FROM bids WHERE size = 270 ORDER BY created_at DESC, id DESC", scanID)
	// Nothing is committed, but a read may prune a page of the catalog and so move the primary's position.
	follow := func(int, bidPage) { s.setCheckpoint(t, func(c *readmodel.Checkpoint) { c.LSN = s.lsn(t) }) }
	for first := range allPaths {
		got := s.pages(t, "/v1/bids?size=270&limit=101", func(page int) string { return allPaths[(first+page)%4] }, follow)
		if !slices.Equal(got, want) {
			t.Errorf("R4: from %s on: %d bids in another order than SQL's %d", allPaths[first], len(got), len(want))
		}
	}
}

func (s *stack) testRafflesPaged(t *testing.T) {
	for status, where := range map[string]string{"open": "closed_at IS NULL AND starts_at <= now()", "closed": "closed_at IS NOT NULL", "all": "true"} {
		want := collect(t, s, "SELECT id FROM raffles WHERE "+where+" ORDER BY ends_at DESC, id DESC", scanID)
		var got []int64
		next := ""
		for n := 0; ; n++ {
			a := s.expect(t, http.StatusOK, allPaths[n%4], "/v1/raffles?limit=7&status="+status+next, "Read-Path", allPaths[n%4])
			p := decode[rafflePage](t, a)
			for _, r := range p.Raffles {
				got = append(got, r.ID)
			}
			if p.NextCursor == nil {
				break
			}
			next = "&cursor=" + *p.NextCursor
			a.linksTo(t, "/v1/raffles?limit=7&status="+status+next)
		}
		if !slices.Equal(got, want) {
			t.Errorf("R4: status %s: got %d raffles, want %d, or another order", status, len(got), len(want))
		}
	}
}

// R4: a list has each bid up to the first page's position exactly once unless it is cancelled, and each later bid at
// most once. Its pages come from all paths in turn, and the bid that the cursor stands on is cancelled.
func (s *stack) testPaging(t *testing.T) {
	for _, order := range []string{"newest", "highest"} {
		first := collect(t, s, "SELECT id FROM bids WHERE raffle_id = 1 AND size = 270", scanID)
		cancelled := map[int64]bool{}
		got := s.pages(t, "/v1/raffles/1/bids?size=270&limit=90&order="+order, func(page int) string { return allPaths[page%4] },
			func(page int, p bidPage) {
				id := p.Bids[len(p.Bids)-1].ID
				s.cancel(t, id)
				cancelled[id] = true
				s.place(t, 270, int32(100_000+page*9_001%90_000))
				s.place(t, 270, 150_000)
			})
		seen := map[int64]int{}
		for _, id := range got {
			seen[id]++
			if seen[id] > 1 {
				t.Errorf("R4: %s: bid %d twice", order, id)
			}
		}
		for _, id := range first {
			if seen[id] == 0 && !cancelled[id] {
				t.Errorf("R4: %s: bid %d missing", order, id)
			}
		}
	}
}
