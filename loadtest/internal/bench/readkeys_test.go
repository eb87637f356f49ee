package bench

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
)

const (
	// lookupKeys is how many raffles and sizes with at least a page of bids each are looked up evenly.
	lookupKeys, lookupBids = 10_000, 50
	// skewedLookups is how many lookups are drawn, from which the generator takes any.
	skewedLookups = 100_000
)

// key is a raffle and a size, with the number of their bids.
type key struct {
	Raffle int64
	Size   int16
	Bids   int64
}

// page is the path of a lookup.
func (k key) page() string { return page(k.Raffle, k.Size) }

func page(raffle int64, size int16) string {
	return fmt.Sprintf("/v1/raffles/%d/bids?size=%d&limit=%d", raffle, size, lookupBids)
}

// listKeys lists all keys, in an order that does not depend on their bids.
func (s *reads) listKeys(b *testing.B) []key {
	b.Helper()
	return query(b, s.standby, "SELECT raffle_id, size, count(*) FROM bids GROUP BY raffle_id, size ORDER BY md5(raffle_id || ' ' || size)", pgx.RowToStructByPos[key])
}

// spread are the pages of keys with enough bids, each once.
func spread(keys []key) (pages []string) {
	for _, k := range keys {
		if k.Bids >= lookupBids && len(pages) < lookupKeys {
			pages = append(pages, k.page())
		}
	}
	return pages
}

// skewed draws pages as the data set draws bids: the raffle from Zipf's distribution, the raffle with most bids first, and
// the size by demand. Pages that would not be full are left out.
func skewed(keys []key) (pages []string) {
	full := make(map[string]bool)
	for _, k := range keys {
		full[k.page()] = k.Bids >= lookupBids
	}
	raffles := ranked(keys)
	byRank, random := dataset.NewZipf(len(raffles), dataset.Skew), rand.New(rand.NewPCG(1, 2))
	for range skewedLookups {
		if drawn := page(raffles[byRank.Rank(random)-1], dataset.Size(random)); full[drawn] {
			pages = append(pages, drawn)
		}
	}
	return pages
}

// ranked are the raffles, the one with most bids first.
func ranked(keys []key) []int64 {
	bids := make(map[int64]int64)
	for _, k := range keys {
		bids[k.Raffle] += k.Bids
	}
	return slices.SortedFunc(maps.Keys(bids), func(a, b int64) int { return cmp.Or(cmp.Compare(bids[b], bids[a]), cmp.Compare(a, b)) })
}

// hottest is the size with most bids of the raffle with most bids, which is open in the data set.
func hottest(keys []key) (most key) {
	raffle := ranked(keys)[0]
	for _, k := range keys {
		if k.Raffle == raffle && k.Bids > most.Bids {
			most = k
		}
	}
	return most
}
