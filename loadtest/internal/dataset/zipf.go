package dataset

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Zipf draws ranks 1 to n with P(k) = k^-s / H(n,s), where H(n,s) is the sum of k^-s over all ranks. Unlike the
// Zipf of math/rand it takes any s >= 0. It is safe for concurrent use.
type Zipf struct {
	upTo []float64 // P(1)+...+P(k), by k
}

// NewZipf returns the distribution over ranks 1 to n, n >= 1, with exponent s >= 0.
func NewZipf(n int, s float64) *Zipf {
	z := &Zipf{upTo: make([]float64, n+1)}
	for k := 1; k <= n; k++ {
		z.upTo[k] = z.upTo[k-1] + math.Pow(float64(k), -s)
	}
	for k := range z.upTo {
		z.upTo[k] /= z.upTo[n]
	}
	return z
}

// Rank draws one rank, 1 to n, from one number of r: the first up to which the probabilities reach that number.
func (z *Zipf) Rank(r *rand.Rand) int {
	rank, _ := slices.BinarySearch(z.upTo[1:], 1-r.Float64()) // above 0, at most 1
	return rank + 1
}
