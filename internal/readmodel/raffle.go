package readmodel

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Raffle is an auction of one product. Times are in microseconds since the Unix epoch; ClosedAt is 0
// while the raffle isn't closed, ClosingPrice (KRW) 0 while there is none.
type Raffle struct {
	ID, ProductID, SellerID    int64
	StartsAt, EndsAt, ClosedAt int64
	ClosingPrice               int32
}

// AppendMember appends the raffle as a member of the sets of raffles by end. It begins with big-endian
// (ends_at, id), as a bid's begins with (created_at, id), so one way of paging serves both.
func (r Raffle) AppendMember(dst []byte) []byte {
	dst = AppendPrefix(dst, r.EndsAt, r.ID)
	for _, v := range []int64{r.ProductID, r.SellerID, r.StartsAt, r.ClosedAt, int64(r.ClosingPrice)} {
		dst = binary.AppendUvarint(dst, uint64(v))
	}
	return dst
}

// ParseRaffle reads what Raffle.AppendMember wrote, even with further fields at the end; anything else is ErrCorrupt.
func ParseRaffle(member []byte) (Raffle, error) {
	r := reader{rest: member}
	v := Raffle{
		EndsAt: r.int64(), ID: r.int64(),
		ProductID: r.uvarint(math.MaxInt64), SellerID: r.uvarint(math.MaxInt64),
		StartsAt: r.uvarint(math.MaxInt64), ClosedAt: r.uvarint(math.MaxInt64),
		ClosingPrice: int32(r.uvarint(math.MaxInt32)),
	}
	if err := r.end(); err != nil {
		return Raffle{}, fmt.Errorf("raffle entry: %w", err)
	}
	return v, nil
}

// EndScore orders the sets of raffles: ends_at in microseconds. Read with ZRANGE REV.
func (r Raffle) EndScore() float64 { return float64(r.EndsAt) }

// Product is what a raffle sells. ReleasePrice is in KRW, ReleaseDate is YYYY-MM-DD.
type Product struct {
	ID           int64
	Name         string
	Model        string
	Color        string
	Category     string
	ImageURL     string
	ReleaseDate  string
	ReleasePrice int32
}

// AppendEntry appends the product as a value of the hash of products.
func (p Product) AppendEntry(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(p.ID))
	dst = binary.AppendUvarint(dst, uint64(p.ReleasePrice))
	for _, s := range []string{p.Name, p.Model, p.Color, p.Category, p.ImageURL, p.ReleaseDate} {
		dst = appendString(dst, s)
	}
	return dst
}

// ParseProduct reads what Product.AppendEntry wrote, even with further fields at the end; anything else is ErrCorrupt.
func ParseProduct(entry []byte) (Product, error) {
	r := reader{rest: entry}
	p := Product{
		ID: r.uvarint(math.MaxInt64), ReleasePrice: int32(r.uvarint(math.MaxInt32)),
		Name: r.string(), Model: r.string(), Color: r.string(), Category: r.string(),
		ImageURL: r.string(), ReleaseDate: r.string(),
	}
	if err := r.end(); err != nil {
		return Product{}, fmt.Errorf("product entry: %w", err)
	}
	return p, nil
}
