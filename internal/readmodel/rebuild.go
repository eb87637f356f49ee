package readmodel

import (
	"strconv"
	"strings"
)

// RebuildKey is the guard of a rebuild and holds the mark of the replicator that is filling the next epoch. A rebuild
// writes only while the key holds the mark that it wrote last, so it notices a flush of Redis.
const RebuildKey = "pyramid:rebuild"

// ReloadKey is the set of the parts that the active replicator must reload (Part.String). A part stays in the set
// until it is whole again, so that a restarted replicator reloads it. Everybody may add parts.
const ReloadKey = "pyramid:reload"

// PoisonedKey is the set of the parts that are not whole because a row has no packing (Part.String). When the row is
// corrected, its part leaves the set.
const PoisonedKey = "pyramid:poisoned"

// ReloadedKey is a hash from the parts that were reloaded in the served epoch (Part.String) to the checkpoint's
// position when they were whole again.
const ReloadedKey = "pyramid:reloaded"

// EvictionsKey holds how many keys Redis had evicted when the served epoch was begun: run_id:evicted_keys.
const EvictionsKey = "pyramid:evictions"

// EpochKeys is a pattern for SCAN. Every key of an epoch matches it, but other keys do too, see EpochOf.
const EpochKeys = "{*}:*"

// EpochOf returns the epoch that a key belongs to, or false if the key is not of the read model. Other programs may
// use the same Redis and begin their keys with a hash tag too. Their keys must never match.
func EpochOf(key string) (Epoch, bool) {
	tag, rest, ok := strings.Cut(key, "}:")
	if !ok {
		return 0, false
	}
	number, what, parted := strings.Cut(rest, ":")
	e, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0, false
	}
	switch {
	case tag == "{raffles":
		return Epoch(e), !parted || what == "version"
	case tag == "{products", tag == "{sizes":
		return Epoch(e), !parted
	case isNumber(tag, "{s"):
		return Epoch(e), what == "newest" || what == "floor"
	case isNumber(tag, "{r"):
		return Epoch(e), what == "sizes" || what == "raffle" || what == "live" || strings.HasPrefix(what, "n:") || strings.HasPrefix(what, "h:")
	}
	return 0, false
}

func isNumber(tag, prefix string) bool {
	number, ok := strings.CutPrefix(tag, prefix)
	_, err := strconv.ParseUint(number, 10, 63)
	return ok && err == nil
}
