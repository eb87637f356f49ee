package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/levels"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// live shows a run that is under way: its load, then the steps of its reconciliation.
type live struct {
	load  *report.Live
	steps *progress.Progress
}

func newLive(out io.Writer) *live {
	var width func() int
	if progress.IsTerminal(out) {
		width = func() int { return columns(out) }
	}
	return &live{load: report.NewLive(out, width), steps: progress.New(out, time.Now)}
}

// columns is the width of a terminal.
func columns(out io.Writer) int {
	if file, ok := out.(*os.File); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width >= 20 {
			return width
		}
	}
	return 80
}

// step is a reconcile.Progress.
func (l *live) step(step string, done, total int64) {
	l.load.End()
	l.steps.Update(step, done, total)
}

func (l *live) end() {
	l.load.End()
	l.steps.End()
}

// emit shows the result, keeps it, and fails if the run did not pass. It is shown first, because a folder can be full.
func emit(run *report.Run, dir string, out io.Writer, show func(io.Writer) error) error {
	if err := show(out); err != nil {
		return err
	}
	name, err := keep(run, dir)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "\nreport: %s.html\n\n", name); err != nil {
		return err
	}
	if !run.Verdict.Passed() {
		return levels.ErrFailed
	}
	return nil
}

// keep writes the result to files: JSON, to be compared, HTML, JUnit XML and the lines of a Go benchmark. It returns their
// name without the endings. It replaces the files of the same run.
func keep(run *report.Run, dir string) (name string, err error) {
	name = filepath.Join(dir, run.Started.UTC().Format("20060102-150405.000-")+run.Level)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return name, err
	}
	for _, file := range []struct {
		ending string
		write  func(io.Writer) error
	}{{".json", run.WriteJSON}, {".html", run.WriteHTML}, {".junit.xml", run.WriteJUnit}, {".bench.txt", run.WriteBench}} {
		var content bytes.Buffer
		temporary := name + file.ending + ".new"
		err := errors.Join(file.write(&content), os.WriteFile(temporary, content.Bytes(), 0o644))
		if err = errors.Join(err, os.Rename(temporary, name+file.ending)); err != nil {
			return name, fmt.Errorf("report: %w", err)
		}
	}
	return name, nil
}
