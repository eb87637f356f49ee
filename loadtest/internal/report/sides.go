package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The measures of a step or a path.
const (
	measureRate   = "req/s"
	measureFailed = "failed"
	measureP50    = "p50"
	measureP90    = "p90"
	measureP99    = "p99"
	measureP999   = "p99.9"
	measureRatio  = "p50 ratio" // to the base path
)

// measures are in the order of display.
var measures = []string{measureRate, measureFailed, measureP50, measureP90, measureP99, measureP999, measureRatio}

// subject is what one run has of a step or a path: values by measure, latencies in microseconds. NaN says that the run has
// too few requests for a measure: what is missing is not 0.
type subject struct {
	name   string
	values map[string]float64
}

// subjects are the steps, without those that are parts of others, or the paths, if the run compares paths. The rate of
// a path is prescribed, and thus no measure.
func (r *Run) subjects() (out []subject) {
	for _, c := range r.Paths {
		for _, p := range c.Paths {
			v := map[string]float64{measureFailed: failedShare(p.OK, p.Failed), measureP50: p.Latency.percentile(0.5), measureP99: p.Latency.percentile(0.99)}
			if p.Path != c.Base {
				v[measureRatio] = c.ratio(p)
			}
			out = append(out, subject{p.label() + ": " + c.Name, v})
		}
	}
	if len(r.Paths) > 0 {
		return out
	}
	for _, s := range r.Steps {
		if !s.Part {
			out = append(out, subject{s.Name, map[string]float64{measureRate: float64(s.OK) / r.Elapsed.Seconds(), measureFailed: failedShare(s.OK, s.Failed),
				measureP50: s.Total.percentile(0.5), measureP90: s.Total.percentile(0.9), measureP99: s.Total.percentile(0.99), measureP999: s.Total.percentile(0.999)}})
		}
	}
	return out
}

func failedShare(ok, failed int64) float64 { return float64(failed) / float64(ok+failed) } // NaN without requests

// aboveIt is how many good requests must lie above a percentile, at least, so that it is a figure of the system rather
// than of a few requests.
const aboveIt = 5

// percentile is NaN if there are too few values.
func (h Histogram) percentile(quantile float64) float64 {
	if math.Round(float64(h.Count())*(1-quantile)*1e6) < aboveIt*1e6 {
		return math.NaN()
	}
	return float64(h.HDR().ValueAtPercentile(100 * quantile))
}

// ratio is the median of a path's ratios, NaN if there are too few requests for medians.
func (c PathComparison) ratio(p PathResult) float64 {
	all := c.ratios(p)
	if len(all) == 0 || math.IsNaN(p.Latency.percentile(0.5)) {
		return math.NaN()
	}
	return medianOf(all).Center
}

func subjectsOf(runs []*Run) (out [][]subject) {
	for _, r := range runs {
		out = append(out, r.subjects())
	}
	return out
}

// of are the subjects of that name, one for each run that has it.
func of(runs [][]subject, name string) (out []subject) {
	for _, r := range runs {
		if i := slices.IndexFunc(r, func(s subject) bool { return s.name == name }); i >= 0 {
			out = append(out, r[i])
		}
	}
	return out
}

// column are the values of one measure, NaN for a subject without it.
func column(subjects []subject, measure string) (values []float64) {
	for _, s := range subjects {
		v, found := s.values[measure]
		if !found {
			v = math.NaN()
		}
		values = append(values, v)
	}
	return values
}

// checkSides makes sure that all runs were made by the same load, and those of a side by the same program.
func checkSides(before, after []*Run) error {
	if len(before) == 0 || len(after) == 0 {
		return fmt.Errorf("%w: there must be runs before and after", ErrIncomparable)
	}
	all := slices.Concat(before, after)
	for i, r := range all {
		if !r.Verdict.Valid() {
			return fmt.Errorf("%w: the run of %s is invalid: %s", ErrIncomparable, when(r), r.Verdict.Invalid[0])
		}
		if slices.ContainsFunc(all[:i], func(o *Run) bool { return o.Started.Equal(r.Started) }) {
			return fmt.Errorf("%w: the run of %s is given twice", ErrIncomparable, when(r))
		}
	}
	if err := alike(all, load); err != nil {
		return err
	}
	for _, side := range [][]*Run{before, after} {
		if err := alike(side, program); err != nil {
			return fmt.Errorf("%w on one side", err)
		}
	}
	return nil
}

// load is what was asked for, apart from where. A change of it alone changes the figures.
func load(r *Run) []Field {
	fields := []Field{{"level", r.Level}, {"agents", fmt.Sprint(len(r.Agents))}, {"users asked for", fmt.Sprint(r.Users.Asked)}}
	return append(fields, slices.DeleteFunc(slices.Clone(r.Config), func(f Field) bool { return f.Name == "URL" })...)
}

// program is what was tried.
func program(r *Run) []Field {
	return append([]Field{{"commit", r.Commit}, {"cores", fmt.Sprint(r.Cores)}}, r.Services...)
}

// surroundings may differ between two sides.
func surroundings(r *Run) []Field {
	return slices.Concat(program(r), []Field{{"seed", fmt.Sprint(r.Seed)}}, r.Config, r.Environment)
}

func alike(runs []*Run, fields func(*Run) []Field) error {
	for _, r := range runs {
		a, b := only(fields(runs[0]), fields(r)), only(fields(r), fields(runs[0]))
		if a != b {
			return fmt.Errorf("%w: one has %s, another %s", ErrIncomparable, a, b)
		}
	}
	return nil
}

// only are the fields that a has and b has not, or not with the same value.
func only(a, b []Field) string {
	var list []string
	for _, f := range a {
		if !slices.Contains(b, f) {
			list = append(list, f.Name+" "+f.Value)
		}
	}
	return cmp.Or(strings.Join(list, ", "), none)
}

// common are the fields that all runs of a side have. What varies from run to run does not tell sides apart.
func common(runs []*Run) []Field {
	return slices.DeleteFunc(surroundings(runs[0]), func(f Field) bool {
		return slices.ContainsFunc(runs, func(r *Run) bool { return !slices.Contains(surroundings(r), f) })
	})
}

func when(r *Run) string { return r.Started.UTC().Format("2006-01-02 15:04:05") }

func sideName(runs []*Run) string {
	return fmt.Sprintf("%d runs, %s to %s", len(runs), when(runs[0]), when(runs[len(runs)-1]))
}
