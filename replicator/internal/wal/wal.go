// Package wal reads the logical replication stream. It owns the slots named pyramid_<epoch> and the replication
// connection, and it decodes pgoutput (protocol version 1) without copying. Source of the formats: PostgreSQL 15
// documentation, chapters 55.4 and 55.9.
package wal

import (
	"strconv"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// LSN is a position in the write-ahead log.
type LSN = lsn.LSN

// SlotPrefix begins the name of every slot of this service.
const SlotPrefix = "pyramid_"

// Publication is the name of the publication that the stream sends.
const Publication = "pyramid"

// SlotName is the name of the slot of an epoch. A promoted server names its slot likewise, by its timeline.
func SlotName(epoch uint64) string { return SlotPrefix + strconv.FormatUint(epoch, 10) }

// SlotEpoch is the epoch or timeline in the name of a slot; 0 if the name is not one of ours. Every timeline is lower than
// every epoch.
func SlotEpoch(name string) uint64 {
	number, ok := strings.CutPrefix(name, SlotPrefix)
	if !ok {
		return 0
	}
	e, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return 0
	}
	return e
}
