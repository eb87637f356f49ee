package readmodel

import "strconv"

// CheckpointKey holds the Checkpoint. It names the epoch that is served, so it is also the switch.
const CheckpointKey = "pyramid:checkpoint"

// Epoch is one build of the read model. A rebuild fills the next epoch's keys while this one serves. Every key of a
// raffle has the hash tag {r<raffle_id>}, so that a raffle lives on one shard of a cluster.
type Epoch uint64

func (e Epoch) appendRaffleKey(dst []byte, raffleID int64, what string) []byte {
	dst = strconv.AppendInt(append(dst, "{r"...), raffleID, 10)
	dst = strconv.AppendUint(append(dst, "}:"...), uint64(e), 10)
	return append(dst, what...)
}

func (e Epoch) appendSizeKey(dst []byte, raffleID int64, what string, size int16) []byte {
	return strconv.AppendInt(e.appendRaffleKey(dst, raffleID, what), int64(size), 10)
}

// maxKey is the usual length of a key at most. A longer one costs an allocation.
const maxKey = 64

func (e Epoch) raffleKey(raffleID int64, what string) string {
	return string(e.appendRaffleKey(make([]byte, 0, maxKey), raffleID, what))
}

// Sentinel is a member of every sorted set, and a field of the hash of products. It says that nothing is missing from
// the key. It stands at the end where reading begins: with the score +inf in the sets that are read downwards, -inf
// in Highest. If a key was lost (expired, deleted, evicted), the next ZADD makes it anew without the sentinel, so a
// reader never takes the rest for the whole. Only writers that know the whole key write the sentinel: a rebuild, a
// reload, and the script that finds a size to be new (Sizes, AllSizes). No packed bid or raffle is as short.
const Sentinel = "whole"

// Loading stands in place of Sentinel while a reload writes a key in pieces. Only the first piece has it. If the key
// is lost between two pieces, Loading is missing when the reload wants to replace it by Sentinel, and the key is
// loaded again. Loading is also a member of Sizes while a reload gives the sets of the raffle their sentinels, until
// it adds RaffleKnown.
const Loading = "loading"

// Newest is the sorted set of a raffle's bids of a size by time (NewestScore).
func (e Epoch) Newest(raffleID int64, size int16) string {
	return string(e.AppendNewest(make([]byte, 0, maxKey), raffleID, size))
}

// AppendNewest appends the key Newest.
func (e Epoch) AppendNewest(dst []byte, raffleID int64, size int16) []byte {
	return e.appendSizeKey(dst, raffleID, ":n:", size)
}

// Highest is the sorted set of a raffle's bids of a size by price (HighestScore).
func (e Epoch) Highest(raffleID int64, size int16) string {
	return string(e.AppendHighest(make([]byte, 0, maxKey), raffleID, size))
}

// AppendHighest appends the key Highest.
func (e Epoch) AppendHighest(dst []byte, raffleID int64, size int16) []byte {
	return e.appendSizeKey(dst, raffleID, ":h:", size)
}

// NewestPrefix is the key of a raffle's sets of newest bids without the size (decimal) at its end.
func (e Epoch) NewestPrefix(raffleID int64) string { return e.raffleKey(raffleID, ":n:") }

// HighestPrefix is the key of a raffle's sets of highest bids without the size (decimal) at its end.
func (e Epoch) HighestPrefix(raffleID int64) string { return e.raffleKey(raffleID, ":h:") }

// Sizes is the set of sizes (decimal) that have bids in a raffle, and RaffleKnown. A size that is not in it has no
// bids and no sorted sets. Without RaffleKnown no key of the raffle is whole, because the raffle does not exist, is
// being reloaded, or has a row that has no packing.
func (e Epoch) Sizes(raffleID int64) string {
	return string(e.AppendSizes(make([]byte, 0, maxKey), raffleID))
}

// AppendSizes appends the key Sizes.
func (e Epoch) AppendSizes(dst []byte, raffleID int64) []byte {
	return e.appendRaffleKey(dst, raffleID, ":sizes")
}

// RaffleKnown is the member of Sizes that stands for the raffle itself. It can't be a size, because no size is 0.
const RaffleKnown = "0"

// Raffle is the string with the raffle's packed entry (Raffle.AppendMember).
func (e Epoch) Raffle(raffleID int64) string { return e.raffleKey(raffleID, ":raffle") }

// Raffles is the sorted set of all packed raffles by end (EndScore).
func (e Epoch) Raffles() string { return e.global("raffles") }

// Products is the hash of packed products by id (decimal).
func (e Epoch) Products() string { return e.global("products") }

// RafflesVersion is a string that changes with every change of a raffle or a product. A reader compares it to see
// whether an encoded list that it keeps is current.
func (e Epoch) RafflesVersion() string { return e.global("raffles") + ":version" }

// Live is the stream of a raffle's events (Event), capped at about LiveEntries.
func (e Epoch) Live(raffleID int64) string { return e.raffleKey(raffleID, ":live") }

// SizeNewest is the sorted set of the newest bids of a size over all raffles (NewestScore, AppendSizeMember).
// It is capped: see SizeFloor.
func (e Epoch) SizeNewest(size int16) string { return e.size(size, ":newest") }

// SizeFloor is a string with the newest score (decimal) that was ever dropped from SizeNewest because of its cap, 0
// if none was. At or below the floor the set may lack bids, above it the set has all. A floor is written whenever a
// set is, so a missing floor was lost.
func (e Epoch) SizeFloor(size int16) string { return e.size(size, ":floor") }

// AllSizes is the set of the sizes (decimal) that have a SizeNewest, and RaffleKnown. If RaffleKnown is in it and a
// size is not, the size has never had a bid in this epoch.
func (e Epoch) AllSizes() string { return e.global("sizes") }

// SizeKept is how many bids of a size SizeNewest keeps, at least.
const SizeKept = 10_000

func (e Epoch) size(size int16, what string) string {
	return "{s" + strconv.Itoa(int(size)) + "}:" + strconv.FormatUint(uint64(e), 10) + what
}

func (e Epoch) global(what string) string {
	return "{" + what + "}:" + strconv.FormatUint(uint64(e), 10)
}
