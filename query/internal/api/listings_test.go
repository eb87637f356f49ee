package api

import (
	"bytes"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

func someRaffles(n int) []readmodel.Raffle {
	all := make([]readmodel.Raffle, n)
	for i := range all {
		all[i] = readmodel.Raffle{ID: int64(i) + 1, ProductID: 2, SellerID: 3, StartsAt: 4, EndsAt: int64(10_000 - i)}
	}
	return all
}

// A page of a listing has the bytes and the tag of the same page encoded by itself. Only a few pages are kept.
func TestListingHoldsEveryPage(t *testing.T) {
	of := &bidbook.Listing{Raffles: someRaffles(1500)}
	var kept listings
	l := kept.encoded(bidbook.Open, of)
	if kept.encoded(bidbook.Open, of) != l {
		t.Error("it is encoded anew though nothing has changed")
	}
	seen := map[string]bool{}
	for first := 0; first <= 1500; first += 123 {
		for _, end := range []int{first, first + 1, first + 50, first + 1000, 1500} {
			if end > 1500 || end < first {
				continue
			}
			d := l.document(first, end, []byte("tail"), true)
			rows, _, sums := encodeRows(of.Raffles[first:end])
			if !bytes.Equal(d.rows, rows) || d.tag != sums[end-first].tag(end-first, end < 1500) {
				t.Errorf("rows %d to %d: other bytes, or another tag", first, end)
			}
			if seen[d.tag] && first < end && end-first > 1 && end-first != 1500-first {
				t.Errorf("rows %d to %d have the tag of others", first, end)
			}
			seen[d.tag] = true
		}
	}
	for n := range 1501 {
		l.document(0, n, nil, true)
	}
	if len(l.popular) > len(popularLimits)+1 {
		t.Errorf("%d pages are kept", len(l.popular))
	}
	if l.document(0, 50, []byte("other"), false) == l.document(0, 50, nil, true) {
		t.Error("a page with the tail of a cursor is kept")
	}
}

// Pages of other rows, and pages with and without a further page, have different tags.
func TestTagTellsPagesApart(t *testing.T) {
	tags := map[string]int{}
	all := someRaffles(6)
	_, _, sums := encodeRows(all)
	n := 0
	for first := range all {
		for end := first; end <= len(all); end++ {
			if end == first && first > 0 {
				continue // all pages without rows are equal
			}
			for _, more := range []bool{false, true} {
				tags[sums[end].minus(sums[first]).tag(end-first, more)]++
				n++
			}
		}
	}
	if len(tags) != n {
		t.Errorf("%d tags for %d pages", len(tags), n)
	}
}

// BenchmarkListing encodes 10,000 raffles, which happens once for each change, and takes a page of them.
func BenchmarkListing(b *testing.B) {
	of := &bidbook.Listing{Raffles: someRaffles(10_000)}
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			encodeListing(of)
		}
	})
	l := encodeListing(of)
	b.Run("page", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.document(0, 9_000, nil, true).forms[identity]()
		}
	})
}
