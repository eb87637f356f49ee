package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// task is a job at work in an agent.
type task struct {
	job    Job
	cancel context.CancelCauseFunc
	start  chan time.Time
	done   chan struct{}
	lease  time.Duration // for which the controller need not ask
	gone   *time.Timer   // ends the job when the lease is over

	mu      sync.Mutex
	status  status
	outcome Outcome
}

// launch starts the job. The job ends with ctx, or when the controller has not asked for the time of the lease.
func launch(ctx context.Context, runner Runner, job Job, lease time.Duration) *task {
	ctx, cancel := context.WithCancelCause(ctx)
	t := &task{job: job, cancel: cancel, start: make(chan time.Time, 1), done: make(chan struct{}),
		status: status{State: Preparing}, lease: lease, gone: time.AfterFunc(lease, func() { cancel(errControllerGone) })}
	t.job.Await = t.await
	go func() {
		defer close(t.done)
		defer t.gone.Stop()
		defer cancel(nil)
		outcome, err := runner.Run(ctx, t.job, t.progress)
		if cause := context.Cause(ctx); errors.Is(cause, errControllerGone) {
			err = cause
		}
		t.end(outcome, err)
	}()
	return t
}

// errControllerGone is why an agent stops by itself.
var errControllerGone = errors.New("the controller was not heard of any more")

// await is the job's Await.
func (t *task) await(ctx context.Context) (time.Time, error) {
	t.setState(Ready)
	select {
	case at := <-t.start:
		t.setState(Running)
		return at, nil
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	}
}

func (t *task) setState(s State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.State = s
}

func (t *task) progress(p report.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Progress = p
}

// end keeps the outcome. An error beside a result becomes one of its reasons.
func (t *task) end(o Outcome, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcome = o
	t.status.State = Done
	t.status.Files = slices.Sorted(maps.Keys(o.Files))
	switch {
	case o.Run == nil:
		t.status.State, t.status.Error = Failed, fmt.Sprint(err)
	case err != nil:
		o.Run.Verdict.Failed = append(o.Run.Verdict.Failed, err.Error())
	}
}

// look answers a question of the controller, which renews the lease.
func (t *task) look() status {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone.Reset(t.lease)
	return t.status
}

// discard removes the files of a job that has ended.
func (t *task) discard() (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range t.outcome.Files {
		err = errors.Join(err, os.Remove(name))
	}
	t.outcome.Files, t.status.Files = nil, nil
	return err
}

// result is the outcome; ok is false before there is one.
func (t *task) result() (o Outcome, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.outcome, t.status.State == Done
}
