package report

import (
	"bytes"
	"encoding/xml"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestJUnitFailsWhereTheVerdictDoes(t *testing.T) {
	kept, missed := Condition{"p99 of bid", "at most 250 ms", "181 ms", true}, Condition{"failed requests", "at most 0 %", "1 % \x00<&", false}
	for _, c := range []struct {
		verdict                 Verdict
		tests, failures, errors int
	}{
		{Verdict{Conditions: []Condition{kept}}, 1, 0, 0},
		{Verdict{Conditions: []Condition{kept, missed}}, 2, 1, 0},
		{Verdict{Conditions: []Condition{kept}, Failed: []string{"interrupted"}, Invalid: []string{"no clock"}}, 3, 1, 1},
		{Verdict{}, 1, 1, 0},
	} {
		run := madeUp(2, time.Millisecond, 0, 1)
		run.Verdict = c.verdict
		var out bytes.Buffer
		if err := run.WriteJUnit(&out); err != nil {
			t.Fatal(err)
		}
		var s junit
		if err := xml.Unmarshal(out.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		failures, errors := 0, 0
		for _, test := range s.Cases {
			if test.Failure != nil {
				failures++
			}
			if test.Error != nil {
				errors++
			}
		}
		if s.Tests != c.tests || len(s.Cases) != c.tests || failures != c.failures || s.Failures != failures || errors != c.errors || s.Errors != errors {
			t.Errorf("%+v became %+v", c.verdict, s)
		}
		if passed := failures+errors == 0; passed != run.Verdict.Passed() {
			t.Errorf("%+v: JUnit passed is %v", c.verdict, passed)
		}
	}
}

var benchmarkLine = regexp.MustCompile(`^Benchmark[^ ]+-[0-9]+ [1-9][0-9]*( [^ ]+ [^ ]+)+$`)

// measured are the values of each benchmark by name and unit.
func measured(t *testing.T, run *Run) map[string]float64 {
	t.Helper()
	var out strings.Builder
	if err := run.WriteBench(&out); err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "Unit ") {
			continue
		}
		if !benchmarkLine.MatchString(line) {
			t.Fatalf("not the line of a benchmark: %q", line)
		}
		for f := strings.Fields(line); len(f) >= 4; f = append(f[:2], f[4:]...) {
			v, err := strconv.ParseFloat(f[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			values[f[0]+" "+f[3]] = v
		}
	}
	return values
}

func TestBenchmarksHaveTheFiguresOfTheTables(t *testing.T) {
	run := madeUp(20, 5*time.Millisecond, 2, 1)
	s, got := run.Steps[0], measured(t, run)
	const name = "BenchmarkLoad/level=5/step=POST_bid-2 "
	for unit, want := range map[string]float64{"ns/op": float64(s.Total.Summary().Mean), "p50-ns": float64(s.Total.Summary().P50),
		"p99-ns": float64(s.Total.Summary().P99), "failed-%": 100 * part(s.Failed, s.Count())} {
		if v := got[name+unit]; v < want*0.99999 || v > want*1.00001 {
			t.Errorf("%s is %g, want %g", unit, v, want)
		}
	}
	if _, there := got[name+"p99.9-ns"]; there {
		t.Errorf("p99.9 of %d requests", s.OK)
	}
	if v := measured(t, allFailed())[name+"failed-%"]; v != 100 {
		t.Errorf("%g %% failed, want all", v)
	}
}

func TestBenchmarksHaveEachBlockOfEachPath(t *testing.T) {
	one := madeUp(3, time.Millisecond, 0, 1).Steps[0]
	run := &Run{Level: "paths", Cores: 2, Paths: []PathComparison{{Name: "newest 50 bids/size", Paths: []PathResult{{Path: "redis", Cache: "warm",
		Blocks: []Histogram{one.Seconds[0].Total, one.Seconds[1].Total, {}}}}}}}
	var out strings.Builder
	if err := run.WriteBench(&out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "BenchmarkLoad/level=paths/lookup=newest_50_bids_size/path=redis/cache=warm-2 "); n != 2 {
		t.Errorf("%d blocks in %s", n, out.String())
	}
	measured(t, run)
}
