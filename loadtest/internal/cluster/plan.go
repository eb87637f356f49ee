// Package cluster spreads one load run over several machines: agents wait for a plan on a control channel,
// a controller gives each its share, starts all at one moment, and merges what they measured.
package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// Job is what one agent is to do.
type Job struct {
	// ID is the run's, the same for all agents; idempotency keys are made of it and the user's number.
	ID string `json:"id"`
	// Plan is the level's own description of the whole load, not read here.
	Plan json.RawMessage `json:"plan"`
	// Share is this agent's part of it.
	Share Share `json:"share"`
	// Prepared, if not nil, is called with the moment to start when all that comes before the load is done: by Begin, or
	// by the controller once all agents are ready.
	Prepared func(start time.Time) `json:"-"`
	// Await blocks until the controller has set the moment at which the first user starts, and returns it
	// by the agent's own clock. Nil: there is nobody to wait for.
	Await func(context.Context) (time.Time, error) `json:"-"`
}

// Begin is called when all that comes before the load is done, and returns when it starts: the zero time
// means at once.
func (j Job) Begin(ctx context.Context) (time.Time, error) {
	if j.Prepared != nil {
		j.Prepared(time.Now())
	}
	if j.Await == nil {
		return time.Time{}, nil
	}
	return j.Await(ctx)
}

// DecodePlan reads the plan into v and refuses a field that v does not have.
func (j Job) DecodePlan(v any) error {
	if err := decode(bytes.NewReader(j.Plan), v); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	return nil
}

func decode(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// Share is a part of a load. Of the arrivals of the open model each agent takes every Agents-th, so that theirs interleave
// like the arrivals of one generator. Users are numbered over all agents, so what is derived from a user's number
// (random numbers, idempotency keys, login) is disjoint between agents and does not depend on their count.
type Share struct {
	Agent     int `json:"agent"` // from 0
	Agents    int `json:"agents"`
	FirstUser int `json:"first_user"`
	Users     int `json:"users"`
}

// Split divides users among n agents as evenly as they go.
func Split(users, n int) ([]Share, error) {
	if n < 1 || users < n {
		return nil, fmt.Errorf("%d users can't be divided among %d agents", users, n)
	}
	shares := make([]Share, n)
	for i := range shares {
		first, next := users*i/n, users*(i+1)/n
		shares[i] = Share{Agent: i, Agents: n, FirstUser: first, Users: next - first}
	}
	return shares, nil
}

// Runner makes the load of a job. It calls job.Begin before it and progress about once a second, and returns a
// result whenever it made any load, also when ctx ended it early. Files are the files that the controller needs
// beside the result, by name, such as the journal of acknowledged keys.
type Runner interface {
	Run(ctx context.Context, job Job, progress func(report.Progress)) (Outcome, error)
}

// Outcome is the result of a job.
type Outcome struct {
	Run   *report.Run
	Files map[string]string // name -> path on the agent; the controller has them removed when it has copies
}
