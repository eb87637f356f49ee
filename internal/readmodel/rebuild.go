package readmodel

import (
	"strconv"
	"strings"
)

// RebuildKey holds the mark of the replicator that is filling the next epoch. Everything of a rebuild
// is written only while the mark is what was last written, so a flush in between is noticed.
const RebuildKey = "pyramid:rebuild"

// EpochKeys is the pattern of every key that belongs to an epoch, for SCAN.
const EpochKeys = "{*}:*"

// EpochOf returns the epoch that a key belongs to; false for a key that is not one of ours.
func EpochOf(key string) (Epoch, bool) {
	tag, rest, ok := strings.Cut(key, "}:")
	if !ok || !strings.HasPrefix(tag, "{") {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, ":")
	e, err := strconv.ParseUint(number, 10, 64)
	return Epoch(e), err == nil
}
