package api

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// discard is a ResponseWriter that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

func somePage() (bidsContent, *list) {
	bids := make([]readmodel.Bid, 50)
	for i := range bids {
		bids[i] = readmodel.Bid{ID: 12_000_000 + int64(i), RaffleID: 9_001, UserID: 200_000, Size: 270, Price: 150_000, Quantity: 1, CreatedAt: 1_700_000_000_123_456}
	}
	r := httptest.NewRequest(http.MethodGet, "/v1/raffles/9001/bids?size=270", nil)
	l := &list{path: r.URL.Path, params: readParams(r, "size")}
	return bidsContent{bids, &cursor{kind: 'n', raffle: 9_001, size: 270, after: bidbook.Keyset{At: 5, ID: 6}}}, l
}

var somewhere = bidbook.Position{Path: bidbook.PathRedis, At: lsn.Position{Timeline: 1, LSN: 0x1A2B3C8}, LagMillis: 3}

// The headers of an answer take two allocations, and its content one, if the client neither has a tag nor accepts a
// coding.
func TestAnAnswerAllocatesLittle(t *testing.T) {
	page, l := somePage()
	r := httptest.NewRequest(http.MethodGet, "/v1/raffles/9001/bids?size=270", nil)
	w := &discard{header: http.Header{}}
	n := testing.AllocsPerRun(200, func() {
		if err := respond(w, r, somewhere, answer{content: page, keep: checkedList, rows: 50, list: l, next: page.next}); err != nil {
			t.Fatal(err)
		}
	})
	if n > 3 {
		t.Errorf("%v allocations", n)
	}
	if w.header.Get("Etag") == "" || w.header.Get("Link") == "" || w.header.Get("Read-Lsn") != "1-0/1A2B3C8" || w.header.Get("Content-Length") == "" {
		t.Errorf("%v", w.header)
	}
}

// Pages with other bids or in another order, and pages with and without a next one, have different versions.
func TestVersionsTellPagesApart(t *testing.T) {
	page, _ := somePage()
	seen := map[string]bool{}
	for n := range page.bids {
		for _, next := range []*cursor{nil, page.next} {
			seen[string(bidsContent{page.bids[:n], next}.appendVersion(nil))] = true
			seen[string(bidsContent{page.bids[n:], next}.appendVersion(nil))] = true
		}
	}
	if len(seen) != 2*2*len(page.bids) {
		t.Errorf("%d versions", len(seen))
	}
}

func BenchmarkRespond(b *testing.B) {
	page, l := somePage()
	for name, coding := range map[string]string{"plain": "", "gzip": "gzip", "zstd": "zstd"} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/v1/raffles/9001/bids?size=270", nil)
			rows := 50
			if coding != "" {
				r.Header.Set("Accept-Encoding", coding)
				rows = 101
			}
			w := &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				if err := respond(w, r, somewhere, answer{content: page, keep: checkedList, rows: rows, list: l, next: page.next}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
