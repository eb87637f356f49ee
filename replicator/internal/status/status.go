// Package status is what a replicator reports about itself, as JSON and as metrics, and the reasons for which it
// rebuilds.
package status

import (
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// State is what a replicator is doing.
type State string

// The states. Streaming, Waiting and Paused are ready: they do what they were told.
const (
	Starting   State = "starting"   // connecting and deciding
	Waiting    State = "waiting"    // another replicator holds the lock
	Rebuilding State = "rebuilding" // filling the next epoch
	Streaming  State = "streaming"  // applying what is committed
	Paused     State = "paused"     // an operator has ordered to apply nothing
	Retrying   State = "retrying"   // after an error, before the next attempt
)

var states = []State{Starting, Waiting, Rebuilding, Streaming, Paused, Retrying}

// LongHeld is how long something is held back before that is worth telling. A commit normally takes some milliseconds to
// the standby.
const LongHeld = time.Second

// Waits says whether the synchronous standby is waited for unusually long.
func (s Status) Waits() bool { return s.HeldMillis >= LongHeld.Milliseconds() }

// Status is what a replicator says about itself at GET /v1/status.
type Status struct {
	Pipeline      string    `json:"pipeline,omitempty"`
	State         State     `json:"state"`
	LSN           string    `json:"lsn,omitempty"` // with the timeline, as in readmodel.Checkpoint.Position
	LagMillis     int64     `json:"lag_ms"`
	LagBytes      int64     `json:"lag_bytes"`
	Epoch         uint64    `json:"epoch,omitempty"`
	Slot          string    `json:"slot,omitempty"`
	RetainedBytes int64     `json:"slot_retained_bytes"`
	LimitBytes    int64     `json:"slot_limit_bytes,omitempty"` // at which the server gives the slot up; 0: not known, or none
	HeldMillis    int64     `json:"held_ms"`                    // how long what comes next has waited for the synchronous standby (P14)
	Rebuild       *Progress `json:"rebuild,omitempty"`
	Rebuilds      int       `json:"rebuilds"`
	Pause         *Pause    `json:"pause,omitempty"` // of this or the other replicator
	// The error that ended the last session; absent once a session streams again.
	LastError   string `json:"last_error,omitempty"`
	LastErrorAt string `json:"last_error_at,omitempty"`
	RetryAt     string `json:"retry_at,omitempty"`
}

// Pause is an operator's order to apply nothing.
type Pause struct {
	Since  string `json:"since"`
	Reason string `json:"reason,omitempty"`
}

func newPause(p readmodel.Pause) *Pause {
	return &Pause{Since: time.UnixMicro(p.Since).UTC().Format(time.RFC3339Nano), Reason: p.Reason}
}

// Progress is how far a rebuild has come. Expected is the planner's estimate.
type Progress struct {
	Reason   Reason `json:"reason"`
	Phase    Phase  `json:"phase,omitempty"`
	Rows     int64  `json:"rows"`
	Expected int64  `json:"expected_rows"`
	PerSec   int64  `json:"rows_per_second"`
	ETA      int64  `json:"eta_seconds"`
	Slot     string `json:"slot,omitempty"`
	// WaitsFor are the open transactions that the new slot waits for.
	WaitsFor []string `json:"waits_for,omitempty"`
}
