package readmodel

import (
	"fmt"
	"strconv"
	"strings"
)

// PauseKey holds a Pause while an operator has the replicator paused. Whichever replicator is active finds it there, so a
// pause outlives restarts and takeovers. Everybody may set and remove it.
const PauseKey = "pyramid:pause"

// Pause is an operator's order to apply nothing more.
type Pause struct {
	Since  int64  // when it was ordered, in microseconds since the Unix epoch
	Taken  string // the token of the session that applies nothing since; "": none yet
	Reason string // what the operator says; a single line
}

// String packs the pause as the value of PauseKey, readable in redis-cli.
func (p Pause) String() string {
	taken := p.Taken
	if taken == "" {
		taken = "-"
	}
	return strings.TrimSuffix(fmt.Sprintf("%d %s %s", p.Since, taken, strings.Join(strings.Fields(p.Reason), " ")), " ")
}

// ParsePause reads what String wrote; anything else is ErrCorrupt.
func ParsePause(s string) (Pause, error) {
	since, rest, _ := strings.Cut(s, " ")
	taken, reason, _ := strings.Cut(rest, " ")
	at, err := strconv.ParseInt(since, 10, 64)
	if err != nil || taken == "" {
		return Pause{}, fmt.Errorf("pause %q: %w", s, ErrCorrupt)
	}
	if taken == "-" {
		taken = ""
	}
	return Pause{at, taken, reason}, nil
}

// PipelineKey holds the name of the pipeline whose replicators fill this Redis, "-" for the unnamed one. Another
// pipeline's replicator writes nothing here.
const PipelineKey = "pyramid:pipeline"
