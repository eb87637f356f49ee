package tables

import "github.com/stock-pyramid/stock-pyramid/internal/readmodel"

// PartsOfBid returns the parts of the read model that a bid is in. If the raffle or the size of a bid is unknown (0),
// the bid spoils no part of that kind, because no read asks for a raffle or a size that is not positive.
func PartsOfBid(b readmodel.Bid) (parts []readmodel.Part) {
	if b.RaffleID != 0 {
		parts = append(parts, readmodel.Part{Raffle: b.RaffleID})
	}
	if b.Size != 0 {
		parts = append(parts, readmodel.Part{Size: b.Size})
	}
	return parts
}

// PartsOfRaffle returns the parts that a raffle is in.
func PartsOfRaffle(r readmodel.Raffle) []readmodel.Part {
	if r.ID == 0 {
		return []readmodel.Part{{}}
	}
	return []readmodel.Part{{Raffle: r.ID}, {}}
}
