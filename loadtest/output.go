package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
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
		width = columns
	}
	return &live{load: report.NewLive(out, width), steps: progress.New(out, time.Now)}
}

// columns is the width of the terminal, as the shell says.
func columns() int {
	n, err := strconv.Atoi(os.Getenv("COLUMNS"))
	if err != nil || n < 20 {
		return 80
	}
	return n
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

// emit shows the result and keeps it.
func emit(run *report.Run, dir string, out io.Writer) error {
	name, err := keep(run, dir)
	if err != nil {
		return err
	}
	if err := run.WriteText(out); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nreport: %s.html\n\n", name)
	return err
}

// keep writes the result to two files: JSON, to be compared, and HTML. It returns their name without the ending.
func keep(run *report.Run, dir string) (name string, err error) {
	name = filepath.Join(dir, run.Started.UTC().Format("20060102-150405-")+run.Level)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return name, err
	}
	for ext, write := range map[string]func(io.Writer) error{".json": run.WriteJSON, ".html": run.WriteHTML} {
		var file bytes.Buffer
		if err := errors.Join(write(&file), os.WriteFile(name+ext, file.Bytes(), 0o644)); err != nil {
			return name, fmt.Errorf("report: %w", err)
		}
	}
	return name, nil
}
