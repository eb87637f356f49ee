// Package progress shows on a terminal, or in lines of a log, how far the steps of a command have come.
package progress

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
)

// lineEvery is how often a line about a running step is printed if there is no terminal.
const lineEvery = 3 * time.Second

// Progress shows how far steps are: as a bar on a terminal, as lines elsewhere.
type Progress struct {
	out     io.Writer
	now     func() time.Time
	bars    bool
	bar     *progressbar.ProgressBar
	started time.Time
	printed time.Time
}

// New shows progress on out.
func New(out io.Writer, now func() time.Time) *Progress {
	return &Progress{out: out, now: now, bars: IsTerminal(out)}
}

// IsTerminal says whether a writer is a terminal.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Update notes how many rows of a step are done. A step begins with done = 0 and ends when done reaches total. A step
// without a total (0) ends at the first done above 0, and only its time is shown.
func (p *Progress) Update(step string, done, total int64) {
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
		p.End()
	case finished && total == 0:
		p.printf("%s: %.1f s\n", step, now.Sub(p.started).Seconds())
	case finished:
		p.printf("%s: %s in %.1f s\n", step, Grouped(total), now.Sub(p.started).Seconds())
	case p.bar == nil && now.Sub(p.printed) >= lineEvery:
		p.printed = now
		p.printf("%s\n", progressLine(step, done, total, now.Sub(p.started)))
	}
}

// startBar shows a bar for a step with a total. A step without one is reported only when it is done.
func (p *Progress) startBar(step string, total int64) {
	if !p.bars || total == 0 {
		return
	}
	p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.out),
		progressbar.OptionSetDescription(step), progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond))
}

// set moves the bar. If the bar can't be drawn, lines take its place, so that the work goes on.
func (p *Progress) set(done int64) {
	if err := p.bar.Set64(done); err != nil {
		p.bar, p.bars = nil, false
		p.printf("no progress bar: %v\n", err)
	}
}

// End ends the line of a bar that is still shown.
func (p *Progress) End() {
	if p.bar != nil {
		p.bar = nil
		p.printf("\n")
	}
}

func (p *Progress) printf(format string, args ...any) { fmt.Fprintf(p.out, format, args...) }

// progressLine says how far a step is after elapsed, at what rate, and how long the rest will take.
func progressLine(step string, done, total int64, elapsed time.Duration) string {
	rate := max(PerSecond(done, elapsed), 1)
	return fmt.Sprintf("%s: %s of %s (%d %%), %s/s, %d s left", step, Grouped(done), Grouped(total),
		100*done/total, Grouped(rate), (total-done+rate-1)/rate)
}

// Grouped writes n with commas between groups of three digits.
func Grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// PerSecond is n over the time it took; a time of 0 counts as a microsecond.
func PerSecond(n int64, took time.Duration) int64 {
	return int64(float64(n) / max(took, time.Microsecond).Seconds())
}
