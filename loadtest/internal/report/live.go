package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
)

// lineEvery is how often a line about the running load is written if there is no terminal.
const lineEvery = 5 * time.Second

// Live shows the progress of a run: as one line that is drawn over on a terminal, as lines elsewhere.
type Live struct {
	out     io.Writer
	width   func() int // columns of the terminal; nil without one
	printed time.Duration
	drawn   bool
}

// NewLive returns a Live that writes to out. width gives the columns of the terminal, nil if out is none.
func NewLive(out io.Writer, width func() int) *Live {
	return &Live{out: out, width: width}
}

// Update shows p. A display that can't be written to must not end a load, so errors are dropped.
func (l *Live) Update(p Progress) {
	switch {
	case l.width != nil:
		l.drawn = true
		_, _ = fmt.Fprintf(l.out, "\r%s\x1b[K", p.line(l.width()))
	case p.Elapsed-l.printed >= lineEvery:
		l.printed = p.Elapsed
		_, _ = fmt.Fprintf(l.out, "%s\n", p.line(0))
	}
}

// End leaves the line.
func (l *Live) End() {
	if l.drawn {
		l.drawn = false
		_, _ = fmt.Fprintln(l.out)
	}
}

// line is p in at most columns characters, or in full if columns is 0. Less important figures come later and
// are left out first.
func (p Progress) line(columns int) string {
	parts := []string{clock(p.Elapsed) + p.end(), rate(float64(p.Last.OK)) + " req/s"}
	if p.Last.Total.Count() > 0 {
		s := p.Last.Total.Summary()
		parts = append(parts, "p50 "+latency(s.P50), "p99 "+latency(s.P99))
	}
	parts = append(parts, progress.Grouped(p.Failed)+" errors", progress.Grouped(int64(p.ActiveUsers))+" users", progress.Grouped(p.Done)+" done")
	line := ""
	if p.Limit > 0 || p.Planned > 0 {
		line = bar(p.Fraction(), 20) + " "
	}
	for i, part := range parts {
		next := line + part
		if i > 0 {
			next = line + " · " + part
		}
		if columns > 0 && len([]rune(next)) >= columns {
			break
		}
		line = next
	}
	return line
}

// end says how far the run is and how long the rest will take.
func (p Progress) end() string {
	if p.Limit == 0 && p.Planned == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.0f %%, %s left)", 100*p.Fraction(), clock(p.Left()))
}

func bar(fraction float64, width int) string {
	full := int(fraction * float64(width))
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}
