package opsfeed

import (
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// lost says that Redis had a read model and has none. It stands for status.CheckpointMissing in a process that has seen
// one.
const lost = "Redis lost its data."

// reasons say in a sentence why a rebuild is made.
var reasons = map[status.Reason]string{
	status.CheckpointMissing:  "Redis holds no read model.",
	status.CheckpointCorrupt:  "The checkpoint in Redis can't be read.",
	status.OtherVersion:       "The read model is of another release, which this one can't read.",
	status.OtherFormat:        "The read model has the form of another release.",
	status.OtherSystem:        "Redis holds the read model of another database.",
	status.OtherTimeline:      "Redis holds commits that the new primary does not have.",
	status.Failover:           "Another node was promoted, and its slot does not go on from here.",
	status.SlotMissing:        "The replication slot is gone.",
	status.SlotLost:           "The server has removed WAL that the replication slot needed.",
	status.CheckpointBehind:   "Redis lost its last writes, and the slot has let them go.",
	status.PrimaryBehind:      "Redis holds more than the primary, which was put back to an earlier state.",
	status.PrimaryForgot:      "The primary lacks a commit that Redis has seen.",
	status.PublicationChanged: "The publication was changed.",
	status.Truncated:          "A table was truncated.",
	status.Torn:               "Redis has applied only a part of a flush.",
	status.Evicted:            "Redis has evicted keys.",
	status.Requested:          "An operator asked for a rebuild.",
}

// why is the sentence for a reason.
func why(r status.Reason, seen bool) string {
	if r == status.CheckpointMissing && seen {
		return lost
	}
	if text, known := reasons[r]; known {
		return text
	}
	return fmt.Sprintf("The read model has to be built anew (%s).", r)
}

// steps say what a rebuild does now.
var steps = map[status.Phase]string{
	status.Preparing:    "Removing what former rebuilds have left",
	status.CreatingSlot: "Making a slot, which waits for every open transaction",
	status.Copying:      "Copying",
	status.Switching:    "Waiting for the synchronous standby, to switch to the new epoch",
}

// serves says who answers reads while the replicator rebuilds. A read model with a position is served on.
func serves(s status.Status) string {
	if s.LSN != "" {
		return "the present epoch is served meanwhile"
	}
	return "the replica serves reads"
}

// failures say in a sentence why a session ended, by the kind of its error.
var failures = map[string]string{
	"connection":          "A connection to the primary or to Redis failed.",
	"redis":               "Redis refused a command.",
	"redis_full":          "Redis is full.",
	"redis_unfit":         "Redis is set to evict keys, so it can't hold the read model.",
	"no_room":             "Redis has no room for a second copy of the read model.",
	"stale_primary":       "The only primary is on an older timeline than the read model.",
	"newer_primary":       "Another server has become the primary.",
	"other_pipeline":      "Redis holds the read model of another pipeline.",
	"server":              "The address of the primary leads to different servers.",
	"publication_changed": "The publication was changed.",
	"primary_forgot":      "The primary lacks a commit that Redis has seen.",
	"slot_lost":           "The server has removed WAL that the slot of the rebuild needed.",
	"silent":              "The primary has sent nothing for too long.",
	"fenced":              "Redis does not hold what this replicator wrote last: it lost data, or another replicator works.",
	"torn":                "Redis has applied only a part of a flush.",
	"truncated":           "A table was truncated.",
	"evicted":             "Redis has evicted keys.",
	"schema":              "A row of the stream does not fit the read model.",
	"decode":              "The stream can't be understood.",
}

func failure(kind string) string {
	if text, known := failures[kind]; known {
		return text
	}
	return fmt.Sprintf("The session ended (%s).", kind)
}
