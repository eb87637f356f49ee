package tables

import "github.com/stock-pyramid/stock-pyramid/internal/readmodel"

// PartsOfBid are the parts of the read model that a bid is in. No read asks for a size or a raffle that is not
// positive, so a bid whose size or raffle is unknown spoils none.
func PartsOfBid(b readmodel.Bid) (parts []readmodel.Part) {
	if b.RaffleID != 0 {
		parts = append(parts, readmodel.Part{Raffle: b.RaffleID})
	}
	if b.Size != 0 {
		parts = append(parts, readmodel.Part{Size: b.Size})
	}
	return parts
}

// PartsOfRaffle are the parts that a raffle is in.
func PartsOfRaffle(r readmodel.Raffle) []readmodel.Part {
	if r.ID == 0 {
		return []readmodel.Part{{}}
	}
	return []readmodel.Part{{Raffle: r.ID}, {}}
}
