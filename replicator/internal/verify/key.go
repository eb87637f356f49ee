package verify

import "github.com/stock-pyramid/stock-pyramid/internal/readmodel"

// set is a raffle and a size, whose bids are in two orders.
type set struct {
	raffle int64
	size   int16
}

// kind is what a key of the read model holds.
type kind = readmodel.KeyKind

// The kinds of keys that this package compares.
const (
	newest     = readmodel.KindNewest
	highest    = readmodel.KindHighest
	sizes      = readmodel.KindSizes
	raffle     = readmodel.KindRaffle
	raffles    = readmodel.KindRaffles
	products   = readmodel.KindProducts
	sizeNewest = readmodel.KindSizeNewest
)

// key is a key of any epoch. Its kind says which of the numbers are set.
type key struct {
	kind kind
	set
}

// name is the name of the key in an epoch.
func (k key) name(e readmodel.Epoch) string {
	return readmodel.Key{Kind: k.kind, Epoch: e, Raffle: k.raffle, Size: k.size}.String()
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

// parseKey parses a name. It returns false if this package compares no such key.
func parseKey(name string) (key, readmodel.Epoch, bool) {
	parsed, ours := readmodel.ParseKey(name)
	switch parsed.Kind {
	case newest, highest, sizes, raffle, raffles, products, sizeNewest:
		return key{parsed.Kind, set{parsed.Raffle, parsed.Size}}, parsed.Epoch, ours
	}
	return key{}, parsed.Epoch, false
}
