package report

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// madeUp is a run of n seconds with two steps, whose latencies have the given mean. Part of the requests
// of the first step fail.
func madeUp(n int, mean time.Duration, failed int64, seed uint64) *Run {
	random := rand.New(rand.NewPCG(seed, 0))
	run := &Run{
		Version: Version, Name: "level 5: read and write", Purpose: "Reads and writes at once.", Level: "5",
		Started: time.Date(2024, 5, 1, 9, 0, 0, 0, time.UTC), Elapsed: time.Duration(n) * time.Second, Commit: "0123456789abcdef", Seed: 7,
		Config: []Field{{"virtual users", "50"}}, Environment: []Field{{"kernel", "Linux 6.1"}}, Cores: 2,
		CPU:       []ProcessCPU{{GeneratorProcess, time.Second}, {"command", 2 * time.Second}},
		Generator: Generator{CPU: time.Second},
	}
	for _, name := range []string{"POST bid", "GET bids"} {
		run.Steps = append(run.Steps, madeUpStep(name, n, mean, failed, random))
		failed = 0
	}
	for at := range n {
		lag := 2 + random.Float64()
		run.Samples = append(run.Samples, Sample{At: at, ActiveUsers: 50, LagMS: &lag})
	}
	if f := run.Steps[0].Failed; f > 0 {
		run.Errors = []ErrorKind{{Step: "POST bid", Kind: "status 503", Count: f, First: 65 * time.Second, Sample: `{"status":503}`}}
	}
	return run
}

func madeUpStep(name string, n int, mean time.Duration, failed int64, random *rand.Rand) Step {
	s := Step{Name: name}
	total := NewHDR(3)
	for at := range n {
		second, ok := NewHDR(2), 90+random.Int64N(20)
		for range ok {
			us := min(1+int64(random.ExpFloat64()*float64(mean.Microseconds())), Highest)
			if err := total.RecordValue(us); err != nil {
				panic(err)
			}
			if err := second.RecordValue(us); err != nil {
				panic(err)
			}
		}
		s.OK, s.Failed = s.OK+ok, s.Failed+failed
		s.Seconds = append(s.Seconds, Second{At: at, OK: ok, Failed: failed, Total: FromHDR(second)})
	}
	s.Total, s.Service = FromHDR(total), FromHDR(total)
	return s
}

func TestJSONGivesTheSameRunBack(t *testing.T) {
	run := madeUp(20, 5*time.Millisecond, 3, 1)
	run.Reconciliations = []Reconciliation{{Store: "Redis", Acknowledged: 9, Stored: 8, Lost: 1, LostKeys: []string{"k"}, Waited: time.Second}}
	run.Verdict = Verdict{Conditions: []Condition{{"p99", "at most 1 s", "2 s", false}}, Failed: []string{"one lost"}}
	run.Paths = []PathComparison{{Name: "bids", Base: "redis", Paths: []PathResult{{Path: "redis", Cache: "warm", Latency: run.Steps[0].Total}}}}
	run.Agents = []Agent{{Name: "a:1", ClockOffset: -time.Millisecond}}
	var file bytes.Buffer
	if err := run.WriteJSON(&file); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(file.String(), `"p99_9_ns":`) {
		t.Error("no summary for readers without a histogram library")
	}
	back, err := ReadJSON(&file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(run, back) {
		t.Errorf("got %+v, want %+v", back, run)
	}
}

func TestReadJSONRefuses(t *testing.T) {
	for problem, text := range map[string]string{
		"version 1":          `{"version":1}`,
		"more than one":      `{"version":2} {}`,
		"comes twice":        `{"version":2,"steps":[{"name":"a"},{"name":"a"}]}`,
		"out of range":       `{"version":2,"steps":[{"name":"a","ok":-1}]}`,
		"values and":         `{"version":2,"steps":[{"name":"a","total":{"digits":3,"values":[1]}}]}`,
		"significant digits": `{"version":2,"steps":[{"name":"a","total":{"digits":9,"values":[1],"counts":[1]}}]}`,
		"out of order":       `{"version":2,"steps":[{"name":"a","total":{"digits":3,"values":[5,4],"counts":[1,1]}}]}`,
		"histogram count":    `{"version":2,"steps":[{"name":"a","total":{"digits":3,"values":[5,6],"counts":[1,9223372036854775807]}}]}`,
		"second 99999999":    `{"version":2,"samples":[{"at":99999999}]}`,
		"users or lag":       `{"version":2,"samples":[{"at":1,"lag_ms":1.7e308}]}`,
		"a run of":           `{"version":2,"elapsed_ns":-1}`,
		"unexpected EOF":     `{"version":2`,
	} {
		if _, err := ReadJSON(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v, want an error with %q", text, err, problem)
		}
	}
}

// Whatever Read takes can be shown, merged with itself and compared with itself.
func FuzzReadJSON(f *testing.F) {
	for _, run := range []*Run{madeUp(2, time.Millisecond, 1, 1), {Version: Version}} {
		var file bytes.Buffer
		if err := run.WriteJSON(&file); err != nil {
			f.Fatal(err)
		}
		f.Add(file.Bytes())
	}
	f.Add([]byte(`{"version":2,"elapsed_ns":1,"cores":-1,"steps":[{"name":"a","seconds":[{"at":86400}],"total":{"digits":1,"values":[3],"counts":[1]}}]}`))
	f.Add([]byte(`{"version":2,"samples":[{}]}`))
	f.Add([]byte(`{"version":2,"steps":[],"paths":[{"name":"p","paths":[{"latency":{"digits":1,"values":[120000000],"counts":[1]}}]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		run, err := ReadJSON(bytes.NewReader(raw))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := run.WriteHTML(&out); err != nil {
			t.Fatal(err)
		}
		if bad := strings.Contains(out.String(), "NaN") && !bytes.Contains(raw, []byte("NaN")); bad {
			t.Errorf("NaN in the page of %s", raw)
		}
		if err := run.WriteText(&out); err != nil {
			t.Fatal(err)
		}
		if _, err := Merge([]*Run{run, run}); err != nil {
			t.Fatal(err)
		}
		again := *run
		again.Started = run.Started.Add(1)
		if c, err := Compare([]*Run{run}, []*Run{&again}); err == nil && c.Worse() {
			t.Errorf("%s is worse than itself", raw)
		}
	})
}

// Merging loses and invents nothing, whatever the order.
func TestMergedHistogramIsThatOfAllValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(Lowest, Highest), 1, 200).Draw(t, "values")
		digits := rapid.IntRange(1, 4).Draw(t, "digits")
		all, parts := NewHDR(digits), []Histogram{{}, {}, {}}
		for i, v := range values {
			one := NewHDR(digits)
			for _, h := range []interface{ RecordValue(int64) error }{all, one} {
				if err := h.RecordValue(v); err != nil {
					t.Fatal(err)
				}
			}
			parts[i%3] = parts[i%3].Merge(FromHDR(one))
		}
		a, b := parts[0].Merge(parts[1]).Merge(parts[2]), parts[2].Merge(parts[0].Merge(parts[1]))
		if want := FromHDR(all); !reflect.DeepEqual(a, want) || !reflect.DeepEqual(b, want) {
			t.Fatalf("%+v and %+v, want %+v", a, b, want)
		}
		if err := a.check(); err != nil {
			t.Fatal(err)
		}
		if want := all.ValueAtPercentile(99); a.HDR().ValueAtPercentile(99) != want || a.Summary().P99 != micros(want) {
			t.Fatalf("p99 is %v, want %d", a.Summary().P99, want)
		}
	})
}

func TestMergeAddsUpAndKeepsTheFirstError(t *testing.T) {
	a, b := madeUp(3, time.Millisecond, 2, 1), madeUp(5, time.Millisecond, 1, 2)
	a.Errors[0].First, a.Errors[0].Sample = time.Second, "early"
	b.Verdict.Invalid = []string{"no clock"}
	m, err := Merge([]*Run{b, a})
	if err != nil {
		t.Fatal(err)
	}
	if s := m.Steps[0]; s.OK != a.Steps[0].OK+b.Steps[0].OK || s.Failed != 11 || len(s.Seconds) != 5 || s.Seconds[1].Failed != 3 || s.Seconds[4].Failed != 1 {
		t.Errorf("step %+v", s)
	}
	if e := m.Errors[0]; len(m.Errors) != 1 || e.Count != 11 || e.Sample != "early" || e.First != time.Second {
		t.Errorf("errors %+v", m.Errors)
	}
	if m.Samples[0].ActiveUsers != 100 || m.Samples[4].ActiveUsers != 50 || *m.Samples[0].LagMS != max(*a.Samples[0].LagMS, *b.Samples[0].LagMS) {
		t.Errorf("samples %+v", m.Samples)
	}
	// The generator's time adds up; the other processes are those of the one machine.
	if m.CPU[0].CPU != 2*time.Second || m.CPU[1].CPU != 2*time.Second || m.Elapsed != 5*time.Second || m.Verdict.Valid() {
		t.Errorf("CPU %+v, elapsed %v, verdict %+v", m.CPU, m.Elapsed, m.Verdict)
	}
	if _, err := Merge(nil); err == nil {
		t.Error("nothing was merged")
	}
	b.Level = "1"
	if _, err := Merge([]*Run{a, b}); err == nil {
		t.Error("different levels were merged")
	}
}

func TestStepJSONIsReadAsWritten(t *testing.T) {
	raw, err := json.Marshal(Step{Name: "s", OK: 1})
	if err != nil || !strings.Contains(string(raw), `"name":"s"`) {
		t.Errorf("%s, %v", raw, err)
	}
}
