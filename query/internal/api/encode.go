package api

import (
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// Every body is made here, whichever path it comes from: so they are the same to the byte (R5).

// buffers holds bodies; a very long one is not kept.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

const largestKept = 1 << 20

func respond(w http.ResponseWriter, at bidbook.Position, body func([]byte) []byte) error {
	buffer := buffers.Get().(*[]byte)
	b := append(body((*buffer)[:0]), '\n')
	h := w.Header()
	setPosition(h, at)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	_, err := w.Write(b)
	if cap(b) <= largestKept {
		*buffer = b
		buffers.Put(buffer)
	}
	return err
}

func appendBidPage(dst []byte, bids []readmodel.Bid, next *cursor) []byte {
	dst = append(dst, `{"bids":[`...)
	for i := range bids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendBid(dst, &bids[i])
	}
	return appendNext(append(dst, ']'), next)
}

func appendBid(dst []byte, b *readmodel.Bid) []byte {
	dst = appendInt(dst, `{"id":`, b.ID)
	dst = appendInt(dst, `,"raffle_id":`, b.RaffleID)
	dst = appendInt(dst, `,"user_id":`, b.UserID)
	dst = appendInt(dst, `,"size":`, int64(b.Size))
	dst = appendInt(dst, `,"price":`, int64(b.Price))
	dst = appendInt(dst, `,"quantity":`, int64(b.Quantity))
	dst = appendTime(dst, `,"created_at":`, b.CreatedAt)
	return append(dst, '}')
}

func appendRafflePage(dst []byte, raffles []readmodel.Raffle, next *cursor) []byte {
	dst = append(dst, `{"raffles":[`...)
	for i := range raffles {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendRaffle(dst, &raffles[i]), '}')
	}
	return appendNext(append(dst, ']'), next)
}

func appendNext(dst []byte, next *cursor) []byte {
	if next == nil {
		return append(dst, `,"next_cursor":null}`...)
	}
	return append(next.append(append(dst, `,"next_cursor":"`...)), `"}`...)
}

// appendRaffle leaves the object open.
func appendRaffle(dst []byte, r *readmodel.Raffle) []byte {
	dst = appendInt(dst, `{"id":`, r.ID)
	dst = appendInt(dst, `,"product_id":`, r.ProductID)
	dst = appendInt(dst, `,"seller_id":`, r.SellerID)
	dst = appendTime(dst, `,"starts_at":`, r.StartsAt)
	dst = appendTime(dst, `,"ends_at":`, r.EndsAt)
	if r.ClosedAt == 0 {
		dst = append(dst, `,"closed_at":null`...)
	} else {
		dst = appendTime(dst, `,"closed_at":`, r.ClosedAt)
	}
	if r.ClosingPrice == 0 {
		return append(dst, `,"closing_price":null`...)
	}
	return appendInt(dst, `,"closing_price":`, int64(r.ClosingPrice))
}

func appendDetail(dst []byte, d bidbook.RaffleDetail) []byte {
	dst = appendRaffle(dst, &d.Raffle)
	p := &d.Product
	dst = appendInt(dst, `,"product":{"id":`, p.ID)
	dst = appendText(dst, `,"name":`, p.Name)
	dst = appendText(dst, `,"model":`, p.Model)
	dst = appendText(dst, `,"color":`, p.Color)
	dst = appendText(dst, `,"category":`, p.Category)
	dst = appendText(dst, `,"image_url":`, p.ImageURL)
	dst = appendInt(dst, `,"release_price":`, int64(p.ReleasePrice))
	dst = appendText(dst, `,"release_date":`, p.ReleaseDate)
	var count int64
	for _, s := range d.Sizes {
		count += s.Count
	}
	dst = append(appendInt(dst, `},"bid_count":`, count), `,"sizes":[`...)
	for i, s := range d.Sizes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendInt(dst, `{"size":`, int64(s.Size))
		dst = appendInt(dst, `,"count":`, s.Count)
		dst = append(appendInt(dst, `,"highest":`, int64(s.Highest)), '}')
	}
	return append(dst, `]}`...)
}

func appendInt(dst []byte, key string, v int64) []byte {
	return strconv.AppendInt(append(dst, key...), v, 10)
}

// appendTime appends microseconds since the Unix epoch as RFC 3339 in UTC with exactly six decimals.
func appendTime(dst []byte, key string, micros int64) []byte {
	dst = append(append(dst, key...), '"')
	t := time.UnixMicro(micros).UTC()
	dst = t.AppendFormat(dst, time.RFC3339) // far faster than other layouts
	dst[len(dst)-1] = '.'                   // for its Z
	fraction := t.Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		dst = append(dst, '0'+byte(fraction/unit%10))
	}
	return append(dst, `Z"`...)
}

const hex = "0123456789abcdef"

// appendText appends a JSON string (RFC 8259, section 7); what isn't UTF-8 becomes U+FFFD.
func appendText(dst []byte, key, s string) []byte {
	dst = append(append(dst, key...), '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
