package readmodel

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// Checkpoint says what the read model holds: everything committed on the primary SystemID/Timeline up to LSN, in the
// keys of Epoch. Token names the replicator that wrote it (fencing). Applying is set while a transaction that takes
// more than one flush is only partly written; readers then take another path.
type Checkpoint struct {
	SystemID uint64
	Timeline uint32
	Slot     string
	LSN      lsn.LSN
	Epoch    Epoch
	Token    string
	Applying bool
	// Publication is a fingerprint of the primary's publication (P11).
	Publication string
	// Commit is where the commit record of the last applied transaction begins, CommitAt the time in that
	// record (microseconds since the Unix epoch). A primary that has another transaction there has another
	// history (P10). Zero: no transaction of the slot was applied yet.
	Commit   lsn.LSN
	CommitAt int64
	// Beat is the last applied heartbeat, Delay how many milliseconds it took from the primary to Redis.
	Beat  heartbeat.Beat
	Delay int64
	// Phase counts how often Applying was set since the read model was built. A reader compares it before and
	// after its lookups, because a whole phase may lie between the two.
	Phase uint64
	// Server is the start time of the PostgreSQL server from which the replicator has its rows, in microseconds since
	// the Unix epoch by that server's clock. That server has all that the read model holds. Zero: not known.
	Server int64
	// Format is the Format of the replicator that built the epoch.
	Format uint64
}

// Position is the position up to which the read model holds everything.
func (c Checkpoint) Position() lsn.Position { return lsn.Position{Timeline: c.Timeline, LSN: c.LSN} }

// checkpointVersion changes only with what an older reader can't read. A reader that finds another version takes another
// path, and a replicator rebuilds the read model.
const checkpointVersion = "3"

// Format numbers what a replicator writes: the keys and the packings. It rises with each of their changes, because a
// replicator finds no member that has another packing, and keeps no key that it does not know. A replicator that finds an
// epoch of another format rebuilds it. A reader reads each format, because it skips the fields that it does not know.
const Format = 0

// ErrVersion is returned for a checkpoint of another version. It is an ErrCorrupt.
var ErrVersion = fmt.Errorf("another version: %w", ErrCorrupt)

// String packs the checkpoint as the value of CheckpointKey: space-separated, readable in redis-cli.
func (c Checkpoint) String() string {
	applying := "whole"
	if c.Applying {
		applying = "applying"
	}
	return strings.Join([]string{
		checkpointVersion, strconv.FormatUint(c.SystemID, 10), strconv.FormatUint(uint64(c.Timeline), 10),
		c.Slot, c.LSN.String(), strconv.FormatUint(uint64(c.Epoch), 10), c.Token, applying,
		c.Publication, c.Commit.String(), strconv.FormatInt(c.CommitAt, 10), c.Beat.String(), strconv.FormatInt(c.Delay, 10),
		strconv.FormatUint(c.Phase, 10), strconv.FormatInt(c.Server, 10), strconv.FormatUint(c.Format, 10),
	}, " ")
}

// checkpointFields is the least number of fields. Later releases may add fields at the end, as Server and Format were added.
const checkpointFields = 14

// ParseCheckpoint reads what String wrote, even with further fields at the end; anything else is ErrCorrupt.
func ParseCheckpoint(s string) (Checkpoint, error) {
	f := strings.Split(s, " ")
	if _, err := strconv.ParseUint(f[0], 10, 64); err == nil && f[0] != checkpointVersion {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", ErrVersion)
	}
	if len(f) < checkpointFields || f[0] != checkpointVersion || f[3] == "" || f[6] == "" || (f[7] != "whole" && f[7] != "applying") {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", ErrCorrupt)
	}
	system, err1 := strconv.ParseUint(f[1], 10, 64)
	timeline, err2 := strconv.ParseUint(f[2], 10, 32)
	at, err3 := lsn.Parse(f[4])
	epoch, err4 := strconv.ParseUint(f[5], 10, 64)
	commit, err5 := lsn.Parse(f[9])
	commitAt, err6 := strconv.ParseInt(f[10], 10, 64)
	beat, err7 := heartbeat.Parse(f[11])
	delay, err8 := strconv.ParseInt(f[12], 10, 64)
	phase, err9 := strconv.ParseUint(f[13], 10, 64)
	server, err10 := strconv.ParseInt(added(f, 14), 10, 64)
	format, err11 := strconv.ParseUint(added(f, 15), 10, 64)
	for _, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11} {
		if err != nil {
			return Checkpoint{}, fmt.Errorf("checkpoint: %w", ErrCorrupt)
		}
	}
	return Checkpoint{
		SystemID: system, Timeline: uint32(timeline), Slot: f[3], LSN: at, Epoch: Epoch(epoch),
		Token: f[6], Applying: f[7] == "applying", Publication: f[8], Commit: commit, CommitAt: commitAt, Beat: beat, Delay: delay, Phase: phase,
		Server: server, Format: format,
	}, nil
}

// added is a field that older releases do not write. It is then zero.
func added(fields []string, i int) string {
	if i < len(fields) {
		return fields[i]
	}
	return "0"
}

// LagMillis is how far the read model is behind, in milliseconds, at the time now (microseconds): max(delay of the
// last heartbeat, age of the last heartbeat - 2 s, 0). Heartbeats come every second, so a last heartbeat that is
// younger than 2 s is no sign of a lag. An older one shows that the replicator is stuck, which the replicator can't
// report itself.
func (c Checkpoint) LagMillis(now int64) int64 {
	const quiet = 2_000_000
	return max(c.Delay, (now-c.Beat.At-quiet)/1000, 0)
}
