package verify

import (
	"strconv"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

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

// parseKey parses a name. It returns false if this package has no such key.
func parseKey(name string) (key, readmodel.Epoch, bool) {
	e, ours := readmodel.EpochOf(name)
	if !ours {
		return key{}, 0, false
	}
	tag, rest, _ := strings.Cut(name, "}:")
	_, what, _ := strings.Cut(rest, ":")
	what, size, _ := strings.Cut(what, ":")
	var k key
	switch {
	case tag == "{raffles":
		k.kind = raffles
	case tag == "{products":
		k.kind = products
	case strings.HasPrefix(tag, "{s"):
		k.kind, size = sizeNewest, tag[2:]
	default:
		k.raffle, _ = strconv.ParseInt(tag[2:], 10, 64)
		k.kind = map[string]kind{"n": newest, "h": highest, "sizes": sizes, "raffle": raffle}[what]
	}
	number, _ := strconv.ParseInt(size, 10, 16)
	k.size = int16(number)
	// If a part was not understood, the key has another name.
	return k, e, k.name(e) == name
}
