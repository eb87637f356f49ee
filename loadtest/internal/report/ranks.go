package report

import (
	"cmp"
	"math"
	"math/big"
	"slices"

	"golang.org/x/perf/benchmath"
)

// mistake is the probability with which chance alone makes any of the measures of a comparison look changed.
const mistake = 0.05

// compareRanks returns the probability that chance alone makes two groups of runs differ so much: the Mann-Whitney U
// test, which presumes nothing about how a measure is distributed.
func compareRanks(before, after []float64) float64 {
	return min(benchmath.AssumeNothing.Compare(sampleOf(before), sampleOf(after)).P, 1)
}

func sampleOf(values []float64) *benchmath.Sample {
	return benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
}

// confidence is that of the intervals of medians that are shown.
const confidence = 0.95

func medianOf(values []float64) benchmath.Summary {
	return benchmath.AssumeNothing.Summary(sampleOf(values), confidence)
}

// holm adjusts the probabilities of several tests, so that each may be held against the probability of one mistake
// in all of them (Holm 1979). Like Bonferroni's correction it holds however the measures hang together, and those of
// one run do; unlike Bonferroni's it asks less of the others once the clearest change is found.
func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	adjusted, highest := make([]float64, len(p)), 0.0
	for rank, i := range order {
		highest = min(max(highest, p[i]*float64(len(p)-rank)), 1)
		adjusted[i] = highest
	}
	return adjusted
}

// clearest is the smallest probability that the test can give for so many runs: that of all runs of one side above
// all of the other.
func clearest(before, after int) float64 {
	orders, _ := new(big.Float).SetInt(new(big.Int).Binomial(int64(before+after), int64(before))).Float64()
	return 2 / orders
}

// needed is how many runs a side must have, so that the clearest change of one of so many measures can be found.
func needed(measures int) int {
	n := 1
	for clearest(n, n)*float64(measures) > mistake {
		n++
	}
	return n
}

// blocks are the histograms of a path's blocks; a path of which none were kept has one.
func (p PathResult) blocks() []Histogram {
	if len(p.Blocks) == 0 {
		return []Histogram{p.Latency}
	}
	return p.Blocks
}

// ratios are the medians of p relative to those of the base path, block by block. The blocks of the paths take turns,
// so the two of one block meet the same state of the machine, and what both have in common leaves the ratio.
func (c PathComparison) ratios(p PathResult) (out []float64) {
	for _, base := range c.Paths {
		if base.Path != c.Base || base.Cache != p.Cache {
			continue
		}
		mine, theirs := p.blocks(), base.blocks()
		for i := range min(len(mine), len(theirs)) {
			if a, b := mine[i].Summary().P50, theirs[i].Summary().P50; a > 0 && b > 0 {
				out = append(out, float64(a)/float64(b))
			}
		}
	}
	return out
}

// ratioText is the median over the blocks with its interval of 95 %.
func (c PathComparison) ratioText(p PathResult) string {
	all := c.ratios(p)
	if len(all) == 0 {
		return none
	}
	s := medianOf(all)
	text := "× " + significant(s.Center)
	switch {
	case p.Path == c.Base:
		return text
	case math.IsInf(s.Lo, 0) || math.IsInf(s.Hi, 0):
		return text + " (too few blocks)"
	}
	return text + " (" + significant(s.Lo) + " to " + significant(s.Hi) + ")"
}
