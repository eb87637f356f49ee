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
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/cluster"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
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
	// Keep gets the result before it is compared with the database, so that nothing that happens then can lose it; may be
	// nil.
	Keep func(*report.Run)
	// Compared is told how far the reconciliation is.
	Compared reconcile.Progress
	// Load makes the load and returns the result and the journals. If it is nil, this process makes the load.
	Load func(context.Context, cluster.Job, func(report.Progress)) (*report.Run, []string, error)
}

// Execute runs a level and judges the result. When ctx ends the load ends early, but is still judged. If ctx ends after
// the load, the comparison is broken off, and the run fails.
func Execute(ctx context.Context, q Request) (*report.Run, error) {
	level, err := Find(q.Plan.Level)
	if err != nil {
		return nil, err
	}
	level = level.of(q.Plan)
	checked := level.writes && !q.NoReconcile
	if checked && q.Database == "" {
		return nil, errors.New("no database is known to compare the bids with: set LOADTEST_DATABASE_URL, of a role that reads bids, or give --no-reconcile")
	}
	if checked {
		if q.Plan.After, err = reconcile.LastID(ctx, q.Database); err != nil {
			return nil, err
		}
	}
	var d *drop
	if level.closes {
		if d, err = openDrop(ctx, q.Plan.URL); err != nil {
			return nil, err
		}
		q.Plan.Raffle = d.raffle
	}
	run, journals, err := q.load(ctx, d)
	if run == nil {
		d.end()
		return nil, err
	}
	if err != nil {
		run.Verdict.Failed = append(run.Verdict.Failed, err.Error())
	}
	if ctx.Err() != nil {
		run.Verdict.Failed = append(run.Verdict.Failed, "interrupted before its end")
		ctx = context.WithoutCancel(ctx)
	}
	q.judge(run, level)
	d.judge(ctx, run, q.Database)
	if checked {
		q.reconcile(ctx, run, journals)
	} else {
		q.remove(journals)
	}
	return run, nil
}

// load makes the load, and adds to the result what the system used of its machine meanwhile.
func (q Request) load(ctx context.Context, d *drop) (run *report.Run, journals []string, err error) {
	plan, err := json.Marshal(q.Plan)
	if err != nil {
		return nil, nil, err
	}
	var before map[string]time.Duration
	var unknown error
	job := cluster.Job{ID: newID(), Plan: plan, Share: cluster.Share{Agents: 1, Users: q.Plan.VUsers},
		Prepared: func(start time.Time) {
			before, unknown = engine.TreesCPU(q.Processes)
			d.closeAt(ctx, start.Add(q.Plan.Duration/2))
		}}
	if q.Load != nil {
		run, journals, err = q.Load(ctx, job, q.Progress)
	} else {
		var outcome cluster.Outcome
		outcome, err = (&Runner{Dir: q.Dir, Notes: q.Notes, Procs: q.Procs}).Run(ctx, job, q.Progress)
		run, journals = outcome.Run, slices.Collect(maps.Values(outcome.Files))
	}
	if run != nil && unknown == nil {
		AddCPU(run, q.Processes, before)
	}
	return run, journals, errors.Join(err, unknown)
}

// newID makes a random id, because a run with the same seed must not repeat the keys of another run.
func newID() string {
	var raw [6]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

// reconcile compares, judges the outcome, and removes the journals of a run that lost nothing.
func (q Request) reconcile(ctx context.Context, run *report.Run, journals []string) {
	if q.Keep != nil {
		unproved := *run
		unproved.Verdict.Failed = append(slices.Clone(run.Verdict.Failed), "the bids are not compared with PostgreSQL and Redis yet")
		q.Keep(&unproved)
	}
	ledger, err := compare(ctx, run, q.Plan, q.Database, q.Compared, journals)
	if err != nil {
		run.Verdict.Failed = append(run.Verdict.Failed, err.Error())
	} else {
		judgeLedger(run, ledger)
	}
	judgeReconciliations(run)
	if !run.Verdict.Passed() {
		fmt.Fprintf(q.Notes, "kept, to be compared again by loadtest reconcile: %s\n", strings.Join(journals, " "))
		return
	}
	q.remove(journals)
}

func (q Request) remove(journals []string) {
	for _, path := range journals {
		if err := os.Remove(path); err != nil {
			fmt.Fprintf(q.Notes, "journal not removed: %v\n", err)
		}
	}
}

// compare fills in the run's reconciliations.
func compare(ctx context.Context, run *report.Run, p Plan, database string, progress reconcile.Progress, journals []string) (*reconcile.Ledger, error) {
	ctx, cancel := context.WithTimeout(ctx, reconcileTime)
	defer cancel()
	ledger, err := reconcile.Load(journals...)
	if err != nil {
		return nil, err
	}
	run.Reconciliations = ledger.Compare(ctx, database, p.URL, progress)
	return ledger, nil
}

// Reconcile compares the journals of an earlier run, and judges the outcome.
func Reconcile(ctx context.Context, run *report.Run, p Plan, database string, progress reconcile.Progress, journals []string) error {
	if _, _, err := p.Address(); err != nil {
		return err
	}
	ledger, err := compare(ctx, run, p, database, progress, journals)
	if err != nil {
		return err
	}
	if !ledger.Complete() {
		run.Verdict.Add("journal: complete", "a killed run may lack its last second", "no", true)
	}
	judgeReconciliations(run)
	return nil
}

// ErrFailed says that a run was made and judged, and did not pass.
var ErrFailed = errors.New("the run did not pass")
