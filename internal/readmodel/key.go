package readmodel

import (
	"strconv"
	"strings"
)

// KeyKind is what a key of an epoch holds: the name of the method of Epoch that makes the key.
type KeyKind string

// The kinds of keys.
const (
	KindNewest     KeyKind = "Newest"
	KindHighest    KeyKind = "Highest"
	KindSizes      KeyKind = "Sizes"
	KindRaffle     KeyKind = "Raffle"
	KindLive       KeyKind = "Live"
	KindSizeNewest KeyKind = "SizeNewest"
	KindSizeFloor  KeyKind = "SizeFloor"
	KindAllSizes   KeyKind = "AllSizes"
	KindRaffles    KeyKind = "Raffles"
	KindVersion    KeyKind = "RafflesVersion"
	KindProducts   KeyKind = "Products"
)

// Key is the name of a key of an epoch, in its parts. Raffle and Size are 0 if keys of the kind have none.
type Key struct {
	Kind   KeyKind
	Epoch  Epoch
	Raffle int64
	Size   int16
}

// String is the name in Redis, "" for an unknown kind.
func (k Key) String() string {
	switch e := k.Epoch; k.Kind {
	case KindNewest:
		return e.Newest(k.Raffle, k.Size)
	case KindHighest:
		return e.Highest(k.Raffle, k.Size)
	case KindSizes:
		return e.Sizes(k.Raffle)
	case KindRaffle:
		return e.Raffle(k.Raffle)
	case KindLive:
		return e.Live(k.Raffle)
	case KindSizeNewest:
		return e.SizeNewest(k.Size)
	case KindSizeFloor:
		return e.SizeFloor(k.Size)
	case KindAllSizes:
		return e.AllSizes()
	case KindRaffles:
		return e.Raffles()
	case KindVersion:
		return e.RafflesVersion()
	case KindProducts:
		return e.Products()
	}
	return ""
}

// The kinds of keys by what follows the epoch in their names.
var (
	raffleKinds = map[string]KeyKind{"n": KindNewest, "h": KindHighest, "sizes": KindSizes, "raffle": KindRaffle, "live": KindLive}
	sizeKinds   = map[string]KeyKind{"newest": KindSizeNewest, "floor": KindSizeFloor}
	listKinds   = map[string]KeyKind{"{sizes": KindAllSizes, "{raffles": KindRaffles, "{products": KindProducts}
)

// ParseKey parses the name of a key of an epoch. It returns false for every other name.
func ParseKey(name string) (Key, bool) {
	tag, rest, _ := strings.Cut(name, "}:")
	epoch, what, _ := strings.Cut(rest, ":")
	what, size, _ := strings.Cut(what, ":")
	e, err := strconv.ParseUint(epoch, 10, 64)
	if err != nil || len(tag) < 3 {
		return Key{}, false
	}
	k := Key{Epoch: Epoch(e)}
	switch {
	case listKinds[tag] != "":
		k.Kind = listKinds[tag]
		if what == "version" {
			k.Kind = KindVersion
		}
	case strings.HasPrefix(tag, "{s"):
		k.Kind, size = sizeKinds[what], tag[2:]
	case strings.HasPrefix(tag, "{r"):
		k.Kind = raffleKinds[what]
		k.Raffle, err = strconv.ParseInt(tag[2:], 10, 64)
	}
	if size != "" && err == nil {
		k.Size, err = parseSize(size)
	}
	// If a part was not understood, the key has another name.
	return k, err == nil && k.Kind != "" && k.String() == name
}
