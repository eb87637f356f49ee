package report

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// minSeconds is the least length of a step's steady part from which its noise can be judged.
	minSeconds = 10
	// resamples are enough for a standard error (Efron and Tibshirani 1993, section 6.4).
	resamples = 200
	// mistake is the probability that chance makes any of the compared measures look changed, as far as the
	// seconds within the runs tell.
	mistake = 0.01
	// worthwhile is the smallest relative change that counts. It is needed because caches, layout and
	// neighbours change: two runs of one program on one machine differ by more than the seconds within a run
	// suggest.
	worthwhile = 0.05
	// worthwhileErrors is the smallest change of the failed share that counts.
	worthwhileErrors = 0.001
)

// measures are the figures by which a step is compared, computed from its seconds: good requests per second,
// the failed share, and percentiles in microseconds.
type measures [6]float64

const (
	measureRate = iota
	measureFailed
	measureP50 // and what follows, in the order of measureQuantiles
)

var (
	measureNames     = [len(measures{})]string{"req/s", "failed", "p50", "p90", "p99", "p99.9"}
	measureQuantiles = []float64{0.50, 0.90, 0.99, 0.999}
)

// fullLoad says which seconds belong to the steady part of a run: those in which at least this share of the
// highest number of users is active.
const fullLoad = 0.95

// steady are the whole seconds of a step under full load, without those in which users come and go. A
// second without requests is one with zeros.
func (r *Run) steady(s Step) []Second {
	all := make([]Second, max(int(r.Elapsed.Seconds()), 0))
	for _, sec := range s.Seconds {
		if sec.At < len(all) {
			all[sec.At] = sec
		}
	}
	from, to := 1, len(all)-1
	peak := 0
	for _, sample := range r.Samples {
		peak = max(peak, sample.ActiveUsers)
	}
	last := 0
	for _, sample := range r.Samples {
		switch full := float64(sample.ActiveUsers) >= fullLoad*float64(peak); {
		case full:
			last = sample.At
		case last == 0: // still coming
			from = max(from, sample.At+1)
		}
	}
	if last > 0 {
		to = min(to, last)
	}
	if from >= to {
		return nil
	}
	return all[from:to]
}

// secondsTable is a step's seconds with their histograms on common buckets, so that sums are cheap.
type secondsTable struct {
	seconds []Second
	values  []int64
	column  map[int64]int
}

func newSecondsTable(seconds []Second) secondsTable {
	t := secondsTable{seconds: seconds, column: make(map[int64]int)}
	for _, s := range seconds {
		t.values = append(t.values, s.Total.Values...)
	}
	slices.Sort(t.values)
	t.values = slices.Compact(t.values)
	for i, v := range t.values {
		t.column[v] = i
	}
	return t
}

// measure takes the seconds of the given indices together.
func (t secondsTable) measure(indices []int) measures {
	counts := make([]int64, len(t.values))
	var ok, failed, inHistogram int64
	for _, i := range indices {
		s := t.seconds[i]
		ok, failed = ok+s.OK, failed+s.Failed
		for j, v := range s.Total.Values {
			counts[t.column[v]] += s.Total.Counts[j]
			inHistogram += s.Total.Counts[j]
		}
	}
	m := measures{measureRate: float64(ok) / float64(len(indices)), measureFailed: part(failed, ok+failed)}
	next, seen := 0, int64(0)
	for i, c := range counts {
		seen += c
		for next < len(measureQuantiles) && float64(seen) >= measureQuantiles[next]*float64(inHistogram) {
			m[measureP50+next] = float64(t.values[i])
			next++
		}
	}
	return m
}

// bootstrap measures the series that might have come out instead. Seconds depend on their neighbours (a
// checkpoint slows several down), so whole blocks are drawn, with replacement and wrapped around the end: the
// circular block bootstrap (Politis and Romano 1992), with blocks of n^(1/3) seconds (Hall, Horowitz and Jing
// 1995).
func bootstrap(seconds []Second, random *rand.Rand) []measures {
	t, n := newSecondsTable(seconds), len(seconds)
	block := max(int(math.Round(math.Cbrt(float64(n)))), 1)
	out := make([]measures, resamples)
	indices := make([]int, 0, n+block)
	for i := range out {
		indices = indices[:0]
		for len(indices) < n {
			first := random.IntN(n)
			for j := range block {
				indices = append(indices, (first+j)%n)
			}
		}
		out[i] = t.measure(indices[:n])
	}
	return out
}

// spreadOf is the standard deviation of one measure over resamples, in the terms of scale.
func spreadOf(all []measures, of int, scale func(float64) float64) float64 {
	var sum, squares float64
	for _, m := range all {
		v := scale(m[of])
		sum, squares = sum+v, squares+v*v
	}
	n := float64(len(all))
	return math.Sqrt(max(squares/n-sum/n*sum/n, 0))
}

// width is how many standard errors a change must be from 0 when so many measures are compared, by the normal
// distribution with Bonferroni's correction.
func width(comparisons int) float64 {
	return math.Sqrt2 * math.Erfinv(1-mistake/float64(max(comparisons, 1)))
}
