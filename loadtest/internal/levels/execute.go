package levels

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/cluster"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/frontdoor"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/reconcile"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// reconcileTime bounds the comparison. An interrupted run is compared as well.
const reconcileTime = 15 * time.Minute

// Request is a level to be run and judged.
type Request struct {
	Plan   Plan
	Limits Limits
	// Dir is the runner's: tokens and journals.
	Dir string
	// Database is the URL of a role that may read bids at the primary. Without it a level that writes is not
	// reconciled, and then it fails unless NoReconcile is set.
	Database    string
	NoReconcile bool
	// Procs is the runner's. If the system is on the same machine, half of the processors are enough: with
	// fewer threads that wake each other, both the generator and the system save some time.
	Procs int
	// Processes are the ids of the system's processes on this machine, by name.
	Processes map[string]int
	Notes     io.Writer
	Progress  func(report.Progress)
	// Compared is told how far the reconciliation is.
	Compared reconcile.Progress
	// Load makes the load and returns the result and the journals. If it is nil, this process makes the load.
	Load func(context.Context, cluster.Job, func(report.Progress)) (*report.Run, []string, error)
}

// Execute runs a level and judges the result. When ctx ends the load ends early, but is still judged.
func Execute(ctx context.Context, q Request) (*report.Run, error) {
	level, err := Find(q.Plan.Level)
	if err != nil {
		return nil, err
	}
	plan, err := json.Marshal(q.Plan)
	if err != nil {
		return nil, err
	}
	job := cluster.Job{ID: newID(), Plan: plan,
		Share: cluster.Share{Agents: 1, Users: q.Plan.VUsers, Rate: q.Plan.Rate}}
	checked := level.writes && !q.NoReconcile
	var after int64
	if checked && q.Database != "" {
		if after, err = reconcile.LastID(ctx, q.Database); err != nil {
			return nil, err
		}
	}
	var before map[string]time.Duration
	run, journals, err := q.load(ctx, job, func() { before, err = engine.TreesCPU(q.Processes) })
	if run == nil {
		return nil, err
	}
	if err != nil {
		run.Verdict.Failed = append(run.Verdict.Failed, err.Error())
	}
	if ctx.Err() != nil {
		run.Verdict.Failed = append(run.Verdict.Failed, "interrupted before its end")
	}
	AddCPU(run, q.Processes, before)
	if checked {
		q.reconcile(context.WithoutCancel(ctx), run, after, journals)
	}
	q.Limits.judge(run)
	return run, nil
}

func (q Request) load(ctx context.Context, job cluster.Job, prepared func()) (*report.Run, []string, error) {
	if q.Load != nil {
		prepared()
		return q.Load(ctx, job, q.Progress)
	}
	r := &Runner{Dir: q.Dir, Notes: q.Notes, Procs: q.Procs, prepared: prepared}
	outcome, err := r.Run(ctx, job, q.Progress)
	return outcome.Run, slices.Collect(maps.Values(outcome.Files)), err
}

// newID makes a random id, because a run with the same seed must not repeat the keys of another run.
func newID() string {
	var raw [6]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

// reconcile compares, and removes the journals of a run that lost nothing.
func (q Request) reconcile(ctx context.Context, run *report.Run, after int64, journals []string) {
	ctx, cancel := context.WithTimeout(ctx, reconcileTime)
	defer cancel()
	if q.Database == "" {
		run.Reconciliations = []report.Reconciliation{{Store: "Postgres", Problem: "no database is known to compare with: set LOADTEST_DATABASE_URL, of a role that reads the keys of bids"}}
		return
	}
	ledger, err := reconcile.Load(after, journals...)
	if err != nil {
		run.Reconciliations = []report.Reconciliation{{Store: "Postgres", Problem: err.Error()}}
		return
	}
	postgres, lsn := ledger.Postgres(ctx, q.Database, q.Compared)
	run.Reconciliations = append(run.Reconciliations, postgres)
	if postgres.Problem == "" {
		client := frontdoor.New(q.Plan.base())
		run.Reconciliations = append(run.Reconciliations, ledger.Redis(ctx, client, lsn, q.Compared))
		client.Close()
	}
	if slices.ContainsFunc(run.Reconciliations, func(r report.Reconciliation) bool { return !r.Clean() }) {
		fmt.Fprintf(q.Notes, "kept to look into it: %v\n", journals)
		return
	}
	for _, path := range journals {
		if err := os.Remove(path); err != nil {
			fmt.Fprintf(q.Notes, "journal not removed: %v\n", err)
		}
	}
}

// judge adds the thresholds and the other reasons why the run has failed.
func (l Limits) judge(run *report.Run) {
	v := &run.Verdict
	for _, r := range run.Reconciliations {
		if !r.Clean() {
			v.Failed = append(v.Failed, complaint(r))
		}
	}
	var ok, failed int64
	for _, s := range run.Steps {
		ok, failed = ok+s.OK, failed+s.Failed
		if l.MaxP99 > 0 {
			p99 := time.Duration(s.Total.HDR().ValueAtPercentile(99)) * time.Microsecond
			v.Thresholds = append(v.Thresholds, report.Threshold{Name: "p99 of " + s.Name, Limit: "at most " + l.MaxP99.String(),
				Got: p99.String(), OK: s.OK > 0 && p99 <= l.MaxP99})
		}
	}
	if ok == 0 {
		v.Failed = append(v.Failed, "no request was successful")
	}
	if l.MaxErrors >= 0 {
		share := 100 * float64(failed) / float64(max(ok+failed, 1))
		v.Thresholds = append(v.Thresholds, report.Threshold{Name: "failed requests", Limit: fmt.Sprintf("at most %g %%", l.MaxErrors),
			Got: fmt.Sprintf("%.3g %%", share), OK: share <= l.MaxErrors})
	}
	if l.MinRate > 0 {
		rate := float64(ok) / run.Elapsed.Seconds()
		v.Thresholds = append(v.Thresholds, report.Threshold{Name: "good requests", Limit: fmt.Sprintf("at least %g/s", l.MinRate),
			Got: fmt.Sprintf("%.0f/s", rate), OK: rate >= l.MinRate})
	}
}

func complaint(r report.Reconciliation) string {
	if r.Problem != "" {
		return fmt.Sprintf("not compared with %s: %s", r.Store, r.Problem)
	}
	return fmt.Sprintf("%s: %d bids lost, %d doubled, %d that should not be there", r.Store, r.Lost, r.Doubled, r.Unexpected)
}

// ErrFailed says that a run was made and judged, and did not pass.
var ErrFailed = errors.New("the run did not pass")
