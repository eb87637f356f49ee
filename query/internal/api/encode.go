package api

import (
	"sync"
	"unicode/utf8"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// Every body is made here, whichever path answers, so that all paths give the same bytes (R5).

// buffers holds bodies; a very long one is not kept.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

const largestKept = 1 << 20

var jsonType = []string{"application/json"}

func appendBidPage(dst []byte, bids []readmodel.Bid, next *cursor) []byte {
	var c clock
	dst = append(dst, `{"bids":[`...)
	for i := range bids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendBid(dst, &c, &bids[i])
	}
	return appendNext(append(dst, ']'), next)
}

func appendBid(dst []byte, c *clock, b *readmodel.Bid) []byte {
	return append(appendOpenBid(dst, c, b), '}')
}

// appendOpenBid leaves the object open.
func appendOpenBid(dst []byte, c *clock, b *readmodel.Bid) []byte {
	dst = appendInt(dst, `{"id":`, b.ID)
	dst = appendInt(dst, `,"raffle_id":`, b.RaffleID)
	dst = appendInt(dst, `,"user_id":`, b.UserID)
	dst = appendInt(dst, `,"size":`, int64(b.Size))
	dst = appendInt(dst, `,"price":`, int64(b.Price))
	dst = appendInt(dst, `,"quantity":`, int64(b.Quantity))
	return c.append(dst, `,"created_at":`, b.CreatedAt)
}

func appendNext(dst []byte, next *cursor) []byte {
	if next == nil {
		return append(dst, `,"next_cursor":null}`...)
	}
	return append(next.append(append(dst, `,"next_cursor":"`...)), `"}`...)
}

// appendRaffle leaves the object open.
func appendRaffle(dst []byte, c *clock, r *readmodel.Raffle) []byte {
	dst = appendInt(dst, `{"id":`, r.ID)
	dst = appendInt(dst, `,"product_id":`, r.ProductID)
	dst = appendInt(dst, `,"seller_id":`, r.SellerID)
	dst = c.append(dst, `,"starts_at":`, r.StartsAt)
	dst = c.append(dst, `,"ends_at":`, r.EndsAt)
	if r.ClosedAt == 0 {
		dst = append(dst, `,"closed_at":null`...)
	} else {
		dst = c.append(dst, `,"closed_at":`, r.ClosedAt)
	}
	if r.ClosingPrice == 0 {
		return append(dst, `,"closing_price":null`...)
	}
	return appendInt(dst, `,"closing_price":`, int64(r.ClosingPrice))
}

func appendDetail(dst []byte, d bidbook.RaffleDetail) []byte {
	dst = appendRaffle(dst, &clock{}, &d.Raffle)
	dst = appendProduct(append(dst, `,"product":`...), &d.Product)
	var count int64
	for _, s := range d.Sizes {
		count += s.Count
	}
	dst = append(appendInt(dst, `,"bid_count":`, count), `,"sizes":[`...)
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

func appendProduct(dst []byte, p *readmodel.Product) []byte {
	dst = appendInt(dst, `{"id":`, p.ID)
	dst = appendText(dst, `,"name":`, p.Name)
	dst = appendText(dst, `,"model":`, p.Model)
	dst = appendText(dst, `,"color":`, p.Color)
	dst = appendText(dst, `,"category":`, p.Category)
	dst = appendText(dst, `,"image_url":`, p.ImageURL)
	dst = appendInt(dst, `,"release_price":`, int64(p.ReleasePrice))
	return append(appendText(dst, `,"release_date":`, p.ReleaseDate), '}')
}

func appendInt(dst []byte, key string, v int64) []byte {
	return appendNumber(append(dst, key...), v)
}

const hexDigits = "0123456789abcdef"

// appendText appends a JSON string (RFC 8259, section 7); what isn't UTF-8 becomes U+FFFD.
func appendText(dst []byte, key, s string) []byte {
	dst = append(append(dst, key...), '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&0xf])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
