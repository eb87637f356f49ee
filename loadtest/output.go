package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// live shows a run that is under way.
type live struct {
	out   io.Writer
	steps *progress
}

func newLive(out io.Writer) *live { return &live{out: out, steps: newProgress(out, time.Now)} }

func (l *live) progress(p report.Progress) {
	fmt.Fprintf(l.out, "%3.0f s  %s done, %s failed, %d users, %d/s\n", p.Elapsed.Seconds(), grouped(p.Done), grouped(p.Failed), p.ActiveUsers, p.Last.OK)
}

// step is a reconcile.Progress.
func (l *live) step(step string, done, total int64) { l.steps.update(step, done, total) }

func (l *live) end() { l.steps.end() }

// emit shows the result and writes its reports.
func emit(run *report.Run, dir string, out io.Writer) error {
	for _, s := range run.Steps {
		h := s.Total.HDR()
		fmt.Fprintf(out, "%-22s OK %s KO %s  %.0f/s p50 %d us p99 %d us max %d us\n", s.Name, grouped(s.OK), grouped(s.Failed),
			float64(s.OK)/run.Elapsed.Seconds(), h.ValueAtPercentile(50), h.ValueAtPercentile(99), h.Max())
	}
	for _, r := range run.Reconciliations {
		fmt.Fprintf(out, "%+v\n", r)
	}
	for _, e := range run.Errors {
		fmt.Fprintf(out, "%+v\n", e)
	}
	for _, c := range run.CPU {
		fmt.Fprintf(out, "%s %v\n", c.Name, c.CPU)
	}
	fmt.Fprintf(out, "%+v %s\n", run.Verdict, run.Generator.Warning)
	raw, err := json.Marshal(run)
	name := filepath.Join(dir, fmt.Sprintf("%s-level-%s.json", run.Started.Format("20060102-150405"), strings.ReplaceAll(run.Level, "/", "")))
	return errors.Join(err, os.MkdirAll(dir, 0o755), os.WriteFile(name, raw, 0o644))
}
