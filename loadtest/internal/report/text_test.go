package report

import (
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
)

func TestTextTable(t *testing.T) {
	run := madeUp(20, 5*time.Millisecond, 2, 1)
	run.Reconciliations = []Reconciliation{{Store: "Postgres", Acknowledged: 9, Stored: 10, Doubled: 1, DoubledKeys: []string{"load-3"}}}
	run.Verdict.Conditions = []Condition{{"POST bid: p99", "at most 10 ms", "23 ms", false}}
	var out strings.Builder
	if err := run.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	s := run.Steps[0]
	fields := strings.Join(append([]string{s.Name, progress.Grouped(s.OK), "40", rate(run.PerSecond(s.OK))}, s.Total.cells()...), " ")
	for _, want := range []string{fields, "POST bid: status 503 40 1:05", "Postgres: 1 doubled: load-3", "FAILED POST bid: p99: 23 ms (at most 10 ms)",
		"verdict: failed", "TPS " + rate(run.PerSecond(run.All().OK))} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
}

// In the open model both times are shown, each with its own figures.
func TestOpenModelShowsBothTimes(t *testing.T) {
	run := madeUp(20, 5*time.Millisecond, 0, 1)
	run.Steps[0].Total = madeUp(20, 50*time.Millisecond, 0, 1).Steps[0].Total
	run.Arrivals = &Arrivals{Asked: 10, Started: 10}
	var out strings.Builder
	if err := run.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"from the intended start", "Service time", latency(run.Steps[0].Total.Summary().P99), latency(run.Steps[0].Service.Summary().P99)} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
}

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		latency(0): "0", latency(850 * time.Microsecond): "850 µs", latency(1250 * time.Microsecond): "1.25 ms", latency(9999 * time.Microsecond): "10.0 ms",
		latency(12345 * time.Millisecond): "12.3 s", latency(999_600 * time.Microsecond): "1.00 s", latency(-3 * time.Millisecond): "-3.00 ms",
		progress.Grouped(0): "0", progress.Grouped(999): "999", progress.Grouped(-1234567): "-1,234,567",
		rate(0): "0", rate(0.5): "0.500", rate(12345.6): "12,346",
		percent(0): "0 %", percent(1): "100 %", percent(0.99999): "> 99.99 %", percent(0.00001): "< 0.01 %", percent(0.123): "12.3 %", percent(0.9987): "99.87 %",
		clock(65 * time.Second): "1:05", clock(3725 * time.Second): "1:02:05",
		elapsed(370 * time.Second): "6 min 10 s", elapsed(2 * time.Hour): "2 h 0 min", elapsed(12 * time.Second): "12.0 s",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLive(t *testing.T) {
	second := madeUp(1, 5*time.Millisecond, 0, 1).Steps[0].Seconds[0]
	p := Progress{Elapsed: 15 * time.Second, Limit: time.Minute, Done: 1500, Failed: 2, ActiveUsers: 50, Last: second}
	var lines strings.Builder
	l := NewLive(&lines, nil)
	for range 3 {
		l.Update(p) // the same moment: one line
	}
	l.End()
	if n := strings.Count(lines.String(), "\n"); n != 1 || !strings.HasPrefix(lines.String(), "█████░░░░░░░░░░░░░░░ 0:15 (25 %, 0:45 left) · ") {
		t.Errorf("%d lines: %q", n, lines.String())
	}
	for _, want := range []string{" req/s · p50 ", " · p99 ", "2 errors", "50 users"} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("no %q in %q", want, lines.String())
		}
	}
	var screen strings.Builder
	l = NewLive(&screen, func() int { return 60 })
	l.Update(p)
	l.Update(p)
	l.End()
	drawn := strings.Split(strings.TrimSpace(screen.String()), "\r")
	for _, line := range drawn {
		if n := len([]rune(strings.TrimSuffix(line, "\x1b[K"))); n >= 60 {
			t.Errorf("%d columns of 60: %q", n, line)
		}
	}
	if len(drawn) != 2 || !strings.HasSuffix(screen.String(), "\n") {
		t.Errorf("%q", screen.String())
	}
}

func TestProgressKnowsItsEnd(t *testing.T) {
	for _, c := range []struct {
		p        Progress
		fraction float64
		left     time.Duration
	}{
		{Progress{Elapsed: time.Second}, 0, 0},
		{Progress{Elapsed: 30 * time.Second, Limit: time.Minute}, 0.5, 30 * time.Second},
		{Progress{Elapsed: 30 * time.Second, Limit: time.Minute, Done: 3, Planned: 4}, 0.75, 10 * time.Second},
		{Progress{Elapsed: 61 * time.Second, Limit: time.Minute}, 1, 0},
	} {
		if f, left := c.p.Fraction(), c.p.Left(); f != c.fraction || left != c.left {
			t.Errorf("%+v: %v, %v left", c.p, f, left)
		}
	}
	a := Progress{Elapsed: 2 * time.Second, Done: 1, Planned: 4, ActiveUsers: 3, Last: Second{At: 1, OK: 5}}
	a.Merge(Progress{Elapsed: 3 * time.Second, Done: 2, Planned: 4, ActiveUsers: 3, Failed: 1, Last: Second{At: 2, OK: 6}})
	if a.Done != 3 || a.Planned != 8 || a.ActiveUsers != 6 || a.Failed != 1 || a.Last.OK != 11 || a.Elapsed != 3*time.Second {
		t.Errorf("%+v", a)
	}
}
