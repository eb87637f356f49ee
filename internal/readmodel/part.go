package readmodel

import (
	"fmt"
	"strconv"
	"strings"
)

// Part is a part of the read model that can be reloaded by itself: the keys of one raffle, the newest bids of one
// size over all raffles, or, as the zero Part, the lists of raffles and products.
type Part struct {
	Raffle int64
	Size   int16
}

// IsLists says whether the part is the lists of raffles and products.
func (p Part) IsLists() bool { return p == Part{} }

// String is "raffle N", "size N", or "lists". "raffle N M" also names a size of the raffle, because no other key may
// show that the raffle has the size.
func (p Part) String() string {
	switch {
	case p.Raffle != 0 && p.Size != 0:
		return fmt.Sprintf("raffle %d %d", p.Raffle, p.Size)
	case p.Raffle != 0:
		return fmt.Sprintf("raffle %d", p.Raffle)
	case p.Size != 0:
		return fmt.Sprintf("size %d", p.Size)
	}
	return "lists"
}

// ParsePart reads what String wrote; anything else is ErrCorrupt.
func ParsePart(s string) (Part, error) {
	if s == "lists" {
		return Part{}, nil
	}
	f := strings.Split(s, " ")
	var p Part
	var err error
	switch {
	case f[0] == "raffle" && (len(f) == 2 || len(f) == 3):
		p.Raffle, err = strconv.ParseInt(f[1], 10, 64)
		if len(f) == 3 && err == nil {
			p.Size, err = parseSize(f[2])
		}
	case f[0] == "size" && len(f) == 2:
		p.Size, err = parseSize(f[1])
	}
	if err != nil || p.String() != s {
		return Part{}, fmt.Errorf("part %q: %w", s, ErrCorrupt)
	}
	return p, nil
}

func parseSize(s string) (int16, error) {
	size, err := strconv.ParseInt(s, 10, 16)
	return int16(size), err
}
