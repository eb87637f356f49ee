package engine

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

func TestStagesAreRead(t *testing.T) {
	for text, want := range map[string]Stages{
		"30s:100,1m:1000,30s:0": {{30 * time.Second, 100}, {time.Minute, 1000}, {30 * time.Second, 0}},
		"0s:2.5,1h:2.5":         {{0, 2.5}, {time.Hour, 2.5}},
	} {
		s, err := ParseStages(text)
		if err != nil || !slices.Equal(s, want) {
			t.Errorf("%s: %v, %v", text, s, err)
		}
		if again, err := ParseStages(s.String()); err != nil || !slices.Equal(again, want) {
			t.Errorf("%s is written as %s: %v", text, s, err)
		}
	}
	if got := (Stages{{30 * time.Second, 100}, {time.Minute, 1000}, {0, 7}}).Length(); got != 90*time.Second {
		t.Errorf("the stages take %v", got)
	}
	for text, want := range map[string]string{
		"":            `"" is not TIME:RATE, such as 30s:100`,
		"30s":         `"30s" is not`,
		"30s:":        `"30s:" is not`,
		":5":          `":5" is not`,
		"30:5":        `"30:5" is not`,
		"30s:x":       `"30s:x" is not`,
		"-1s:5":       `"-1s:5" is not`,
		"25h:5":       `of up to 24h`,
		"1s:-5":       `"1s:-5" is not`,
		"1s:NaN":      `"1s:NaN" is not`,
		"1s:Inf":      `"1s:Inf" is not`,
		"1s:1e10":     `1e+09 arrivals per second`,
		"1s:5,":       `"" is not`,
		"1s:5;1s:6":   `"1s:5;1s:6" is not`,
		"1s:5,1s:6:7": `"1s:6:7" is not`,
		"1s:0,1m:0":   "asks for no arrival",
		"0s:100":      "asks for no arrival",
	} {
		if s, err := ParseStages(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %s", text, s, err, want)
		}
	}
}

// The generators' arrivals together are those of one generator: in order, none after the end, and up to the end of each
// stage and to any moment between as many as the area under the rate, to within one.
func TestArrivalsAreTheAreaUnderTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Stage {
			return Stage{time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond,
				rapid.SampledFrom([]float64{0, 0.3, 1, 7, 100, 333.3, 1000}).Draw(t, "rate")}
		}), 1, 6).Draw(t, "stages")
		parts := rapid.IntRange(1, 5).Draw(t, "parts")
		var all []time.Duration
		for part := range parts {
			p := newPacer(Config{Stages: s, Duration: Stages(s).Length(), Part: part, Parts: parts}, time.Time{})
			for n := range p.asked(Stages(s).Length()) {
				at := p.offset(n)
				if len(all) > 0 && n > 0 && at < all[len(all)-1] {
					t.Fatalf("arrival %d at %v comes after one at %v", n, at, all[len(all)-1])
				}
				if before := p.asked(at + 10*time.Millisecond); before < n+1 {
					t.Fatalf("arrival %d at %v is not one of the %d before", n, at, before)
				}
				all = append(all, at)
			}
		}
		slices.Sort(all)
		check := func(until time.Duration, area float64) {
			n, _ := slices.BinarySearch(all, until)
			if math.Abs(float64(n)-area) > 1+1e-6 {
				t.Fatalf("%d arrivals before %v, want %g", n, until, area)
			}
		}
		end, area, from := time.Duration(0), 0.0, 0.0
		for _, stage := range s {
			part := rapid.Float64Range(0, 1).Draw(t, "part of the stage")
			rate := from + part*(stage.Target-from)
			check(end+time.Duration(part*float64(stage.Duration)), area+part*stage.Duration.Seconds()*(from+rate)/2)
			end, area, from = end+stage.Duration, area+stage.Duration.Seconds()*(from+stage.Target)/2, stage.Target
			check(end, area)
		}
		if len(all) > 0 && all[len(all)-1] > end || math.Abs(float64(len(all))-area) > 1+1e-6 {
			t.Fatalf("%d arrivals up to %v, want %g up to %v", len(all), all, area, end)
		}
	})
}

// No arrival comes before its time, all come, and each second says how many were asked for.
func TestStagesShapeTheLoad(t *testing.T) {
	var mu sync.Mutex
	var served []time.Time
	addr := serve(t, func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		served = append(served, time.Now())
	})
	s := Stages{{500 * time.Millisecond, 100}, {500 * time.Millisecond, 100}, {500 * time.Millisecond, 0}}
	r, err := Run(context.Background(), Config{Addr: addr, VUsers: 10, Stages: s}, get(addr))
	if err != nil || *r.Arrivals != (report.Arrivals{Asked: 100, Started: 100}) || len(served) != 100 || r.Elapsed > time.Minute {
		t.Fatalf("%+v, %d served in %v, %v", r.Arrivals, len(served), r.Elapsed, err)
	}
	slices.SortFunc(served, time.Time.Compare)
	for n, at := range served {
		if due := r.Started.Add(s.offset(float64(n))); at.Before(due) {
			t.Errorf("arrival %d came %v too soon", n, due.Sub(at))
		}
	}
	asked := make([]int64, 2)
	for i, sample := range r.Samples {
		if sample.At != i || i > 1 && sample.Asked != 0 {
			t.Errorf("sample %d: %+v", i, sample)
		}
		asked[min(i, 1)] += sample.Asked
	}
	if !slices.Equal(asked, []int64{75, 25}) {
		t.Errorf("%d arrivals asked for in each second", asked)
	}
}

// After an end from outside, before that of the load, no arrival begins.
func TestALoadThatIsEndedTakesNoMoreArrivals(t *testing.T) {
	addr := serve(t, func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r, err := Run(ctx, Config{Addr: addr, VUsers: 2, Duration: time.Minute, Rate: 50}, get(addr))
	if err != nil || r.Arrivals.Started > 20 {
		t.Errorf("%+v, %v", r.Arrivals, err)
	}
}

// Arrivals are numbered over all generators, so what an arrival does, does not depend on their number.
func TestArrivalsAreNumberedOverAllGenerators(t *testing.T) {
	p, u := newPacer(Config{Rate: 1e6, Part: 1, Parts: 3}, time.Now()), new(User)
	for _, want := range []int64{1, 4, 7} {
		if !p.wait(t.Context(), u) || u.Arrival != want {
			t.Errorf("arrival %d, want %d", u.Arrival, want)
		}
	}
}
