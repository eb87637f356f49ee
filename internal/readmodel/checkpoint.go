package readmodel

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a position in the write-ahead log, in bytes.
type LSN uint64

// ParseLSN reads PostgreSQL's text form X/X: two hexadecimal numbers of at most 32 bits.
func ParseLSN(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	h, err1 := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("LSN %q is not of the form X/X", s)
	}
	return LSN(h<<32 | l), nil
}

// String gives PostgreSQL's text form.
func (l LSN) String() string {
	return strings.ToUpper(strconv.FormatUint(uint64(l>>32), 16) + "/" + strconv.FormatUint(uint64(l&0xffffffff), 16))
}

// Checkpoint says what the read model holds: everything committed on the primary SystemID/Timeline up
// to LSN, in the keys of Epoch. Token names the replicator that wrote it (fencing). Applying is set
// while a transaction larger than one flush is only partly in: readers take another path.
// Times are microseconds since the Unix epoch: ProbeAt is the primary's clock when the last probe was
// written there, ProbeSeen the replicator's clock when it had arrived.
type Checkpoint struct {
	SystemID  uint64
	Timeline  uint32
	Slot      string
	LSN       LSN
	Epoch     Epoch
	Token     string
	Applying  bool
	ProbeAt   int64
	ProbeSeen int64
}

const checkpointVersion = "1"

// String packs the checkpoint as the value of CheckpointKey: space-separated, readable in redis-cli.
func (c Checkpoint) String() string {
	applying := "whole"
	if c.Applying {
		applying = "applying"
	}
	return strings.Join([]string{
		checkpointVersion, strconv.FormatUint(c.SystemID, 10), strconv.FormatUint(uint64(c.Timeline), 10),
		c.Slot, c.LSN.String(), strconv.FormatUint(uint64(c.Epoch), 10), c.Token, applying,
		strconv.FormatInt(c.ProbeAt, 10), strconv.FormatInt(c.ProbeSeen, 10),
	}, " ")
}

// ParseCheckpoint reads what String wrote; anything else is ErrCorrupt.
func ParseCheckpoint(s string) (Checkpoint, error) {
	f := strings.Split(s, " ")
	if len(f) != 10 || f[0] != checkpointVersion || f[3] == "" || f[6] == "" || (f[7] != "whole" && f[7] != "applying") {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", ErrCorrupt)
	}
	system, err1 := strconv.ParseUint(f[1], 10, 64)
	timeline, err2 := strconv.ParseUint(f[2], 10, 32)
	lsn, err3 := ParseLSN(f[4])
	epoch, err4 := strconv.ParseUint(f[5], 10, 64)
	probeAt, err5 := strconv.ParseInt(f[8], 10, 64)
	probeSeen, err6 := strconv.ParseInt(f[9], 10, 64)
	for _, err := range []error{err1, err2, err3, err4, err5, err6} {
		if err != nil {
			return Checkpoint{}, fmt.Errorf("checkpoint: %w", ErrCorrupt)
		}
	}
	return Checkpoint{
		SystemID: system, Timeline: uint32(timeline), Slot: f[3], LSN: lsn, Epoch: Epoch(epoch),
		Token: f[6], Applying: f[7] == "applying", ProbeAt: probeAt, ProbeSeen: probeSeen,
	}, nil
}

// LagMillis is how far the read model is behind, in milliseconds, at the time now (microseconds):
// max(delay of the last probe, age of the last probe - 2 s, 0). Probes come every second, so one that
// is younger than two says nothing bad; an older one shows a stuck replicator that can't report itself.
func (c Checkpoint) LagMillis(now int64) int64 {
	const quiet = 2_000_000
	return max(c.ProbeSeen-c.ProbeAt, now-c.ProbeAt-quiet, 0) / 1000
}
