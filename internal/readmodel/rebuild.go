package readmodel

import (
	"strconv"
	"strings"
)

// RebuildKey holds the mark of the replicator that is filling the next epoch. Everything of a rebuild
// is written only while the mark is what was last written, so a flush in between is noticed.
const RebuildKey = "pyramid:rebuild"

// ReloadKey is a set of the parts of the read model that the active replicator is to load anew (Part.String).
// A part stays in it until it is whole again, so that a restart takes it up again. Everybody may add to it.
const ReloadKey = "pyramid:reload"

// PoisonedKey is a set of the parts that are not whole because a row has no packing (Part.String). Putting
// the row right takes the part out.
const PoisonedKey = "pyramid:poisoned"

// ReloadedKey is a hash of the parts that were loaded anew in the served epoch (Part.String) and the checkpoint's
// position when they were whole again.
const ReloadedKey = "pyramid:reloaded"

// EvictionsKey holds how many keys Redis had evicted when the served epoch was begun: run_id:evicted_keys.
const EvictionsKey = "pyramid:evictions"

// EpochKeys is a pattern, for SCAN, that every key of an epoch matches, and others, too: see EpochOf.
const EpochKeys = "{*}:*"

// EpochOf returns the epoch that a key belongs to; false for a key that is not one of ours. Others may
// use the same Redis and also begin their keys with a hash tag: theirs must never match.
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
