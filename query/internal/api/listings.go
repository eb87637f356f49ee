package api

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// listings keep the raffles of each status encoded. They are encoded once for all limits and cursors, because every
// page is a part of the rows.
type listings struct {
	encoding sync.Mutex // held while a listing is encoded
	open     atomic.Pointer[listing]
	closed   atomic.Pointer[listing]
	all      atomic.Pointer[listing]
}

// listing is the rows of a bidbook.Listing as JSON objects with commas between them.
type listing struct {
	of   *bidbook.Listing
	rows []byte
	ends []int    // of the rows, without the comma behind each
	sums []rowSum // sums[i] is of the first i rows

	mu      sync.Mutex
	popular map[int]*document // first pages by their number of rows
}

// popularLimits are the limits whose first pages are kept compressed, besides the page that is the whole list. Other
// pages are sent as they are, so their cost does not depend on the limits that clients think of.
var popularLimits = []int{defaultLimit, 100, 1000, maxRaffles}

// rowSum is a sum of hashes of rows. The rows have an order of their own, so the sum identifies a list of them.
type rowSum struct{ high, low uint64 }

func (s rowSum) plus(row []byte) rowSum {
	h := sha256.Sum256(row)
	return rowSum{s.high + binary.BigEndian.Uint64(h[:]), s.low + binary.BigEndian.Uint64(h[8:])}
}

func (s rowSum) minus(o rowSum) rowSum { return rowSum{s.high - o.high, s.low - o.low} }

// tag is a weak entity tag without its quotes. It depends only on the rows and on whether there are further ones, so
// all instances and paths give the same tag. It is weak because the cursors of equal pages may differ.
func (s rowSum) tag(n int, more bool) string {
	b := binary.BigEndian.AppendUint64(nil, s.high)
	b = strconv.AppendBool(strconv.AppendInt(binary.BigEndian.AppendUint64(b, s.low), int64(n), 10), more)
	h := sha256.Sum256(b)
	return cursorText.EncodeToString(h[:12])
}

func encodeListing(of *bidbook.Listing) *listing {
	l := &listing{of: of, popular: map[int]*document{}}
	l.rows, l.ends, l.sums = encodeRows(of.Raffles)
	return l
}

// encodeRows encodes raffles. ends and sums are those of a listing.
func encodeRows(raffles []readmodel.Raffle) (rows []byte, ends []int, sums []rowSum) {
	var c clock
	sums = append(make([]rowSum, 0, len(raffles)+1), rowSum{})
	ends = make([]int, len(raffles))
	for i := range raffles {
		if i > 0 {
			rows = append(rows, ',')
		}
		begin := len(rows)
		rows = append(appendRaffle(rows, &c, &raffles[i]), '}')
		ends[i] = len(rows)
		sums = append(sums, sums[i].plus(rows[begin:]))
	}
	return rows, ends, sums
}

// encoded returns the rows of a listing, which it encodes if they are not kept.
func (l *listings) encoded(status bidbook.Status, of *bidbook.Listing) *listing {
	place := map[bidbook.Status]*atomic.Pointer[listing]{bidbook.Open: &l.open, bidbook.Closed: &l.closed, bidbook.All: &l.all}[status]
	if kept := place.Load(); kept != nil && kept.of == of {
		return kept
	}
	l.encoding.Lock()
	defer l.encoding.Unlock()
	if kept := place.Load(); kept != nil && kept.of == of {
		return kept
	}
	made := encodeListing(of)
	place.Store(made)
	return made
}

// document returns the page of the rows from first to end. A popular page is kept if keep is set.
func (l *listing) document(first, end int, tail []byte, keep bool) *document {
	n := end - first
	isPopular := keep && first == 0 && (n == len(l.ends) || slices.Contains(popularLimits, n))
	if isPopular {
		l.mu.Lock()
		defer l.mu.Unlock()
		if d := l.popular[n]; d != nil {
			return d
		}
	}
	begin, stop := 0, 0
	if n > 0 {
		stop = l.ends[end-1]
		if first > 0 {
			begin = l.ends[first-1] + 1
		}
	}
	d := newDocument(l.rows[begin:stop], tail, l.sums[end].minus(l.sums[first]).tag(n, end < len(l.ends)))
	if isPopular {
		d.kept = true
		l.popular[n] = d
	}
	return d
}
