package api

import (
	"encoding/binary"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// bidsContent is a page of bids.
type bidsContent struct {
	bids []readmodel.Bid
	next *cursor
}

func (c bidsContent) appendBody(dst []byte) []byte { return appendBidPage(dst, c.bids, c.next) }

// appendVersion appends the ids. A bid never changes, and no id is given twice.
func (c bidsContent) appendVersion(dst []byte) []byte {
	for i := range c.bids {
		dst = binary.BigEndian.AppendUint64(dst, uint64(c.bids[i].ID))
	}
	return appendMore(dst, c.next)
}

// appendMore appends whether there is a next page.
func appendMore(dst []byte, next *cursor) []byte {
	if next == nil {
		return append(dst, 0)
	}
	return append(dst, 1)
}

type bidContent readmodel.Bid

func (c bidContent) appendBody(dst []byte) []byte {
	return appendBid(dst, &clock{}, (*readmodel.Bid)(&c))
}
func (c bidContent) appendVersion(dst []byte) []byte { return c.appendBody(dst) }

type detailContent bidbook.RaffleDetail

func (c detailContent) appendBody(dst []byte) []byte {
	return appendDetail(dst, bidbook.RaffleDetail(c))
}
func (c detailContent) appendVersion(dst []byte) []byte { return c.appendBody(dst) }
