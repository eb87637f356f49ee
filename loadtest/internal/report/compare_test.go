package report

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// tried is a program: what its runs differ by from one to the next, and how slow it is.
type tried struct {
	noise, slow float64
}

// runs makes n runs that passed, of two steps with 20,000 requests each. What one run differs by from the others is
// mostly the same for all its measures.
func (p tried) runs(n int, random *rand.Rand) (out []*Run) {
	for range n {
		all := p.slow * math.Exp(p.noise*random.NormFloat64())
		r := &Run{Version: Version, Level: "5", Started: time.Unix(0, random.Int64()), Elapsed: 10 * time.Second, Commit: "c", Cores: 2,
			Config: []Field{{"URL", "http://a"}, {"virtual users", "50"}}, Environment: []Field{{"memory used", fmt.Sprint(random.Int())}},
			Verdict: Verdict{Conditions: []Condition{{"failed", "at most 0", "0", true}}}}
		for _, name := range []string{"bid", "list"} {
			own := all * math.Exp(p.noise/2*random.NormFloat64())
			r.Steps = append(r.Steps, Step{Name: name, OK: int64(20_000 / own), Total: exponential(own*5000, 20)})
		}
		out = append(out, r)
	}
	return out
}

// exponential is a distribution of n values, each a thousand times, with a mean in microseconds.
func exponential(mean float64, n int) Histogram {
	h := NewHDR(3)
	for i := range n {
		if err := h.RecordValues(int64(-mean*math.Log(1-(float64(i)+0.5)/float64(n))), 1000); err != nil {
			panic(err)
		}
	}
	return FromHDR(h)
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func compareText(t *testing.T, before, after []*Run) (*Comparison, string) {
	t.Helper()
	c, err := Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := c.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	return c, out.String()
}

// The measures of runs have ten of two steps that never failed: rate and four percentiles each.
const ownMeasures = 10

// One program against itself: nothing is said to have changed, in the promised share of comparisons, although every run
// differs by more than what counts as a change.
func TestNoiseFromRunToRunIsNotAChange(t *testing.T) {
	const comparisons = 100
	loud := 0
	for seed := range uint64(comparisons) {
		random, same := seeded(seed), tried{noise: 0.1, slow: 1}
		if _, out := compareText(t, same.runs(needed(ownMeasures), random), same.runs(needed(ownMeasures), random)); strings.Contains(out, "WORSE") || strings.Contains(out, "better") {
			loud++
		}
	}
	if float64(loud) > mistake*comparisons {
		t.Errorf("%d of %d comparisons of one program with itself found a change", loud, comparisons)
	}
}

func TestARealChangeIsFound(t *testing.T) {
	for seed := range uint64(20) {
		random := seeded(seed)
		before := tried{noise: 0.03, slow: 1}.runs(needed(ownMeasures), random)
		slower, faster := tried{noise: 0.03, slow: 1.2}.runs(needed(ownMeasures), random), tried{noise: 0.03, slow: 0.8}.runs(needed(ownMeasures), random)
		if c, out := compareText(t, before, slower); !c.Worse() || !strings.Contains(out, "WORSE") {
			t.Errorf("20 %% slower: %s", out)
		}
		if c, out := compareText(t, before, faster); c.Worse() || !strings.Contains(out, "better") {
			t.Errorf("20 %% faster: %s", out)
		}
	}
}

// As many runs as are said to be needed find the clearest change, and one fewer a side can't.
func TestRunsNeeded(t *testing.T) {
	for measures, want := range map[int]int{1: 4, 2: 5, 6: 5, 7: 6, ownMeasures: 6, 23: 6, 24: 7, 85: 7, 86: 8} {
		if got := needed(measures); got != want {
			t.Errorf("%d measures need %d runs, want %d", measures, got, want)
		}
		apart := func(n int) float64 {
			var a, b []float64
			for i := range n {
				a, b = append(a, float64(i)), append(b, float64(100+i))
			}
			return compareRanks(a, b) * float64(measures)
		}
		if apart(want) > mistake || apart(want-1) <= mistake {
			t.Errorf("%d measures: p is %g with %d runs and %g with one fewer", measures, apart(want), want, apart(want-1))
		}
	}
	if got, want := clearest(3, 3), 0.1; math.Abs(got-want) > 1e-9 {
		t.Errorf("with 3 runs a side p is at least %g, want %g", got, want)
	}
}

func TestHolm(t *testing.T) {
	got := fmt.Sprintf("%.2f", holm([]float64{0.04, 0.01, 0.02, 0.9}))
	if got != "[0.08 0.04 0.06 0.90]" || len(holm(nil)) != 0 {
		t.Error(got)
	}
}

func TestTooFewRuns(t *testing.T) {
	random, p := seeded(1), tried{noise: 0.01, slow: 1}
	for _, n := range []int{1, 3, 5} {
		_, err := Compare(p.runs(n, random), tried{noise: 0.01, slow: 2}.runs(n, random))
		if !errors.Is(err, ErrIncomparable) || !strings.Contains(err.Error(), "one of 10 measures from chance: 6 a side are needed") {
			t.Errorf("%d runs a side: %v", n, err)
		}
	}
}

// What chance can't do needs no statistics, and thus no number of runs.
func TestWorseWithoutStatistics(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Run)
		want  string
	}{
		"a lost bid": {func(r *Run) {
			r.Reconciliations = []Reconciliation{{Store: "Postgres", Acknowledged: 9, Stored: 8, Lost: 1, LostKeys: []string{"load-7"}}}
		}, "worse: Postgres: 1 lost: load-7"},
		"a failed request": {func(r *Run) { r.Steps[1].Failed = 1 }, "worse: list: up to < 0.01 % of the requests of a run failed after"},
		"a failed run":     {func(r *Run) { r.Verdict.Conditions[0].OK = false }, "worse: all runs before passed, the one of "},
		"a missing step":   {func(r *Run) { r.Steps = r.Steps[:1] }, `worse: step "list" is missing in 1 of`},
	} {
		for _, n := range []int{1, 6} {
			random, p := seeded(1), tried{noise: 0.01, slow: 1}
			before, after := p.runs(n, random), p.runs(n, random)
			c.spoil(after[0])
			if got, out := compareText(t, before, after); !got.Worse() || !strings.Contains(out, c.want) {
				t.Errorf("%s, %d runs a side: %s", name, n, out)
			}
			if got, err := Compare(after, before); err == nil && got.Worse() {
				t.Errorf("%s before: worse %q", name, got.Reasons)
			}
		}
	}
}

// A share of failures that was there before is judged like any other measure.
func TestMoreFailures(t *testing.T) {
	random, p := seeded(1), tried{noise: 0.01, slow: 1}
	before, after := p.runs(7, random), p.runs(7, random)
	for i := range before {
		before[i].Steps[0].Failed, after[i].Steps[0].Failed = int64(100+i), int64(400+i)
	}
	if c, out := compareText(t, before, after); !c.Worse() || !strings.Contains(line(out, "failed"), "points") || !strings.Contains(line(out, "failed"), "WORSE") {
		t.Error(out)
	}
}

// Missing figures are neither zeros nor equal: what has none is not judged, and if nothing is left there is no verdict.
func TestWhatIsMissingIsNotJudged(t *testing.T) {
	random, p := seeded(1), tried{noise: 0.01, slow: 1}
	before, after := p.runs(6, random), p.runs(6, random)
	after[3].Steps[0].Total = Histogram{}
	before[2].Steps[1].Total = exponential(5000, 1) // 1,000 requests
	_, out := compareText(t, before, after)
	for _, want := range []string{"too few requests: p50, p90, p99, p99.9\n", "too few requests: p99.9\n", "nothing is worse"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	before[0].Steps = before[0].Steps[:1]
	before[1].Steps = before[1].Steps[1:]
	if _, err := Compare(before, after); !errors.Is(err, ErrIncomparable) || !strings.Contains(err.Error(), "no step has enough requests") {
		t.Errorf("no step in all runs: %v", err)
	}
}

func TestIncomparable(t *testing.T) {
	for want, spoil := range map[string]func(before, after []*Run){
		"one has level 5, another level 1":           func(_, b []*Run) { b[0].Level = "1" },
		"users 50, another virtual users 60":         func(_, b []*Run) { b[5].Config = []Field{{"URL", "http://a"}, {"virtual users", "60"}} },
		"one has –, another rate 9/s":                func(a, _ []*Run) { a[1].Config = append(a[1].Config, Field{"rate", "9/s"}) },
		"one has commit c, another commit d on one":  func(_, b []*Run) { b[1].Commit = "d" },
		"invalid: an agent was lost":                 func(a, _ []*Run) { a[2].Verdict.Invalid = []string{"an agent was lost"} },
		"is given twice":                             func(a, b []*Run) { b[0] = a[0] },
		"agents 0, another agents 1":                 func(a, _ []*Run) { a[2].Agents = make([]Agent, 1) },
		"users asked for 0, another users asked for": func(a, _ []*Run) { a[2].Users.Asked = 7 },
	} {
		random, p := seeded(1), tried{noise: 0.01, slow: 1}
		before, after := p.runs(6, random), p.runs(6, random)
		spoil(before, after)
		if _, err := Compare(before, after); !errors.Is(err, ErrIncomparable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := Compare(nil, nil); !errors.Is(err, ErrIncomparable) {
		t.Error(err)
	}
}

func TestCompareTellsWhatElseDiffers(t *testing.T) {
	random, p := seeded(1), tried{noise: 0.01, slow: 1}
	before, after := p.runs(6, random), p.runs(6, random)
	for _, r := range after {
		r.Commit, r.Config = "d", []Field{{"URL", "http://b"}, {"virtual users", "50"}}
		r.Steps = append(r.Steps, Step{Name: "raffle"})
	}
	_, out := compareText(t, before, after)
	for _, want := range []string{"differs: commit c, URL http://a, then commit d, URL http://b\n", `differs: step "raffle" is new`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
}

// pathRuns are runs of two paths, one of which is slower than the base path by a factor. Each run has six blocks.
func pathRuns(n int, base, factor float64, random *rand.Rand) (out []*Run) {
	for range n {
		c := PathComparison{Name: "bids", Base: "redis", Paths: []PathResult{{Path: "redis", Cache: "warm"}, {Path: "standby", Cache: "warm"}}}
		for range 6 {
			now := base * math.Exp(0.2*random.NormFloat64()) // of both paths in this block
			for i, v := range []float64{now, now * factor} {
				h, p := exponential(v*math.Exp(0.01*random.NormFloat64()), 4), &c.Paths[i]
				p.Blocks, p.Latency, p.OK = append(p.Blocks, h), p.Latency.Merge(h), p.OK+h.Count()
			}
		}
		out = append(out, &Run{Level: "paths", Started: time.Unix(0, random.Int64()), Paths: []PathComparison{c}})
	}
	return out
}

// line is the first one that begins so.
func line(text, start string) string {
	for l := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(l), start+" ") {
			return l
		}
	}
	return ""
}

func TestPathsAreComparedByBlocksAndRuns(t *testing.T) {
	random := seeded(1)
	before := pathRuns(5, 1000, 3, random)
	// The noise of the blocks hides a change of the latencies themselves, but not of the ratio.
	if c, out := compareText(t, before, pathRuns(5, 1000, 3.3, random)); !c.Worse() || !strings.Contains(line(out, "p50 ratio"), "WORSE") {
		t.Error(out)
	}
	if c, out := compareText(t, before, pathRuns(5, 10_000, 3, random)); !c.Worse() || strings.Contains(line(out, "p50 ratio"), "WORSE") {
		t.Errorf("both ten times as slow: %s", out)
	}
	if c, out := compareText(t, before, pathRuns(5, 1000, 3, random)); c.Worse() {
		t.Error(out)
	}
}

func TestRatioHasTheIntervalOfItsBlocks(t *testing.T) {
	c := pathRuns(1, 1000, 3, seeded(1))[0].Paths[0]
	low, high := math.Inf(1), 0.0
	for _, v := range c.ratios(c.Paths[1]) {
		low, high = min(low, v), max(high, v)
	}
	if got, want := c.ratioText(c.Paths[1]), "("+significant(low)+" to "+significant(high)+")"; !strings.HasSuffix(got, want) || !strings.HasPrefix(got, "× 3.0") {
		t.Errorf("%q, want %q", got, want)
	}
	for i := range c.Paths {
		c.Paths[i].Blocks = c.Paths[i].Blocks[:5]
	}
	if got := c.ratioText(c.Paths[1]); !strings.HasSuffix(got, "(too few blocks)") {
		t.Error(got)
	}
	if got := c.ratioText(c.Paths[0]); got != "× 1.00" {
		t.Error(got)
	}
}

func TestMedianNeedsSixRunsForItsInterval(t *testing.T) {
	if s := medianOf([]float64{1, 2, 3, 4, 5}); !math.IsInf(s.Lo, 0) {
		t.Errorf("%+v", s)
	}
	if s := medianOf([]float64{6, 2, 3, 4, 5, 1}); s.Center != 3.5 || s.Lo != 1 || s.Hi != 6 {
		t.Errorf("%+v", s)
	}
}
