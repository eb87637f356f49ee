package readmodel

import "strconv"

// CheckpointKey holds the Checkpoint. It names the epoch that is served, so it is also the switch.
const CheckpointKey = "pyramid:checkpoint"

// Epoch is one build of the read model. A rebuild fills the next epoch's keys while this one serves.
// Every per-raffle key has the hash tag {r<raffle_id>}: one raffle lives on one shard of a cluster.
type Epoch uint64

func (e Epoch) raffleKey(raffleID int64, what string) string {
	b := make([]byte, 0, 48)
	b = append(b, "{r"...)
	b = strconv.AppendInt(b, raffleID, 10)
	b = append(b, "}:"...)
	b = strconv.AppendUint(b, uint64(e), 10)
	return string(append(b, what...))
}

func (e Epoch) sizeKey(raffleID int64, what string, size int16) string {
	return e.raffleKey(raffleID, what+strconv.Itoa(int(size)))
}

// Newest is the sorted set of a raffle's bids of a size by time (NewestScore).
func (e Epoch) Newest(raffleID int64, size int16) string { return e.sizeKey(raffleID, ":n:", size) }

// Highest is the sorted set of a raffle's bids of a size by price (HighestScore).
func (e Epoch) Highest(raffleID int64, size int16) string { return e.sizeKey(raffleID, ":h:", size) }

// Sizes is the set of sizes (decimal) that have bids in a raffle, and RaffleKnown. Without it a
// missing sorted set could be an empty one or a lost one.
func (e Epoch) Sizes(raffleID int64) string { return e.raffleKey(raffleID, ":sizes") }

// RaffleKnown is the member of Sizes that stands for the raffle itself: no size is 0.
const RaffleKnown = "0"

// Raffle is the string with the raffle's packed entry (Raffle.AppendMember).
func (e Epoch) Raffle(raffleID int64) string { return e.raffleKey(raffleID, ":raffle") }

// Raffles is the sorted set of all packed raffles by end (EndScore).
func (e Epoch) Raffles() string { return e.global("raffles") }

// Products is the hash of packed products by id (decimal).
func (e Epoch) Products() string { return e.global("products") }

// RafflesVersion is a string that changes with every change of a raffle or a product: whoever keeps an
// encoded list compares it.
func (e Epoch) RafflesVersion() string { return e.global("raffles") + ":version" }

// Live is the stream of a raffle's events (Event), capped at about LiveEntries.
func (e Epoch) Live(raffleID int64) string { return e.raffleKey(raffleID, ":live") }

// SizeNewest is the sorted set of the newest bids of a size over all raffles (NewestScore, AppendSizeMember).
// It is capped: see SizeFloor.
func (e Epoch) SizeNewest(size int16) string { return e.size(size, ":newest") }

// SizeFloor is a string with the newest score (decimal) that was ever dropped from SizeNewest for want
// of room; missing: none was. At or below it the set may lack bids, above it the set has all.
func (e Epoch) SizeFloor(size int16) string { return e.size(size, ":floor") }

// SizeKept is how many bids of a size SizeNewest keeps, at least.
const SizeKept = 10_000

func (e Epoch) size(size int16, what string) string {
	return "{s" + strconv.Itoa(int(size)) + "}:" + strconv.FormatUint(uint64(e), 10) + what
}

func (e Epoch) global(what string) string {
	return "{" + what + "}:" + strconv.FormatUint(uint64(e), 10)
}
