package dataset

import (
	"math"
	"math/rand/v2"
	"testing"
)

// P returns the probability of rank, 1 to n.
func (z *Zipf) P(rank int) float64 { return z.upTo[rank] - z.upTo[rank-1] }

// TestZipfMatchesTheory compares draws with P(k) by Pearson's chi-square: with n-1 degrees of freedom
// the statistic has mean n-1 and variance 2(n-1), and five deviations are never left by chance.
func TestZipfMatchesTheory(t *testing.T) {
	for _, c := range []struct {
		n     int
		s     float64
		draws int
	}{{1, 0.8, 1_000}, {2, 0.8, 100_000}, {10, 0, 100_000}, {1_000, 0.8, 1_000_000}, {1_000, 1.2, 4_000_000}} {
		z := NewZipf(c.n, c.s)
		random := rand.New(rand.NewPCG(1, 2))
		observed := make([]int, c.n)
		for range c.draws {
			observed[z.Rank(random)-1]++
		}
		var statistic, harmonic float64
		for k := 1; k <= c.n; k++ {
			harmonic += math.Pow(float64(k), -c.s)
		}
		for k := 1; k <= c.n; k++ {
			expected := float64(c.draws) * math.Pow(float64(k), -c.s) / harmonic
			difference := float64(observed[k-1]) - expected
			statistic += difference * difference / expected
		}
		freedom := float64(c.n - 1)
		if bound := 5 * math.Sqrt(2*freedom); math.Abs(statistic-freedom) > bound {
			t.Errorf("n %d, s %.1f: chi-square %.1f, want %.0f give or take %.1f", c.n, c.s, statistic, freedom, bound)
		}
	}
}

func TestZipfProbabilities(t *testing.T) {
	z := NewZipf(10_000, Skew)
	var sum float64
	for rank := 1; rank <= 10_000; rank++ {
		sum += z.P(rank)
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("probabilities sum to %v", sum)
	}
	if ratio, want := z.P(1)/z.P(32), math.Pow(32, Skew); math.Abs(ratio-want) > 1e-9 {
		t.Errorf("P(1)/P(32) is %v, want %v", ratio, want)
	}
}

func BenchmarkZipfRank(b *testing.B) {
	z := NewZipf(200_000, Skew)
	random := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		z.Rank(random)
	}
}
