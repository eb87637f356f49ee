package cluster

import (
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// State is how far an agent is with its job.
type State string

// The states, in order; a job fails from any of the first three.
const (
	Preparing State = "preparing" // logs in, reads what it needs
	Ready     State = "ready"     // waits for the common start
	Running   State = "running"
	Done      State = "done" // with a result
	Failed    State = "failed"
)

// status is the body of GET /v1/jobs/{id}.
type status struct {
	State    State           `json:"state"`
	Error    string          `json:"error,omitempty"`
	Progress report.Progress `json:"progress"`
	Files    []string        `json:"files,omitempty"` // once the job has ended
}

// ended reports whether the job will not go on.
func (s State) ended() bool { return s == Done || s == Failed }

// startOrder is the body of POST /v1/jobs/{id}/start; At is by the agent's clock.
type startOrder struct {
	At time.Time `json:"at"`
}

// reading is the body of GET /v1/clock.
type reading struct {
	Now time.Time `json:"now"`
}

// timing holds the periods of the control channel.
type timing struct {
	poll     time.Duration // between two looks of the controller at an agent
	patience time.Duration // without an answer until an agent counts as lost
	lease    time.Duration // without a question until an agent takes its controller for lost
	lead     time.Duration // from the order to start until the start
	grace    time.Duration // for an agent to end after it was told to
}

func defaultTiming() timing {
	return timing{poll: 500 * time.Millisecond, patience: 5 * time.Second, lease: 10 * time.Second,
		lead: time.Second, grace: time.Minute}
}
