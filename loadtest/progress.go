package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
)

// lineEvery is how often a running step is told of where there is no terminal.
const lineEvery = 3 * time.Second

// progress shows how far steps are: as a bar on a terminal, as lines elsewhere.
type progress struct {
	out     io.Writer
	now     func() time.Time
	bars    bool
	bar     *progressbar.ProgressBar
	started time.Time
	printed time.Time
}

func newProgress(out io.Writer, now func() time.Time) *progress {
	return &progress{out: out, now: now, bars: isTerminal(out)}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// update is a seed.Progress.
func (p *progress) update(step string, done, total int64) {
	now := p.now()
	if done == 0 {
		p.started, p.printed = now, now
		p.startBar(step, total)
		return
	}
	if p.bar != nil {
		p.set(done)
	}
	finished := done >= max(total, 1)
	switch {
	case finished && p.bar != nil:
		p.end()
	case finished && total == 0:
		p.printf("%s: %.1f s\n", step, now.Sub(p.started).Seconds())
	case finished:
		p.printf("%s: %s in %.1f s\n", step, grouped(total), now.Sub(p.started).Seconds())
	case p.bar == nil && now.Sub(p.printed) >= lineEvery:
		p.printed = now
		p.printf("%s\n", progressLine(step, done, total, now.Sub(p.started)))
	}
}

// startBar shows a bar for a step with a total; the others only say when they are done.
func (p *progress) startBar(step string, total int64) {
	if !p.bars || total == 0 {
		return
	}
	p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.out),
		progressbar.OptionSetDescription(step), progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond))
}

// set moves the bar; one that can't be drawn must not end a load.
func (p *progress) set(done int64) {
	if err := p.bar.Set64(done); err != nil {
		p.bar, p.bars = nil, false
		p.printf("no progress bar: %v\n", err)
	}
}

// end leaves the line of a bar that is still shown.
func (p *progress) end() {
	if p.bar != nil {
		p.bar = nil
		p.printf("\n")
	}
}

func (p *progress) printf(format string, args ...any) { fmt.Fprintf(p.out, format, args...) }

// progressLine says how far a step is after elapsed, at what rate, and how long the rest will take.
func progressLine(step string, done, total int64, elapsed time.Duration) string {
	rate := max(perSecond(done, elapsed), 1)
	return fmt.Sprintf("%s: %s of %s (%d %%), %s/s, %d s left", step, grouped(done), grouped(total),
		100*done/total, grouped(rate), (total-done+rate-1)/rate)
}

// grouped writes n >= 0 with commas between groups of three digits.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
