package verify

import "github.com/stock-pyramid/stock-pyramid/internal/readmodel"

// set is a raffle and a size, whose bids are in two orders.
type set struct {
	raffle int64
	size   int16
}

// kind is what a key of the read model holds.
type kind int

const (
	newest kind = iota
	highest
	sizes
	raffle
	raffles
	products
	sizeNewest
)

// key is a key of any epoch. Its kind says which of the numbers are set.
type key struct {
	kind kind
	set
}

// name is the name of the key in an epoch.
func (k key) name(e readmodel.Epoch) string {
	switch k.kind {
	case newest:
		return e.Newest(k.raffle, k.size)
	case highest:
		return e.Highest(k.raffle, k.size)
	case sizes:
		return e.Sizes(k.raffle)
	case raffle:
		return e.Raffle(k.raffle)
	case raffles:
		return e.Raffles()
	case products:
		return e.Products()
	default:
		return e.SizeNewest(k.size)
	}
}

// structure is what Redis calls the type of the key.
func (k key) structure() string {
	switch k.kind {
	case sizes:
		return "set"
	case raffle:
		return "string"
	case products:
		return "hash"
	default:
		return "zset"
	}
}

// kinds are the kinds of keys that this package compares.
var kinds = map[readmodel.KeyKind]kind{readmodel.KindNewest: newest, readmodel.KindHighest: highest, readmodel.KindSizes: sizes, readmodel.KindRaffle: raffle,
	readmodel.KindRaffles: raffles, readmodel.KindProducts: products, readmodel.KindSizeNewest: sizeNewest}

// parseKey parses a name. It returns false if this package has no such key.
func parseKey(name string) (key, readmodel.Epoch, bool) {
	parsed, ours := readmodel.ParseKey(name)
	k, compared := kinds[parsed.Kind]
	return key{k, set{parsed.Raffle, parsed.Size}}, parsed.Epoch, ours && compared
}
