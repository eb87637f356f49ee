package dataset

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// Zipf draws ranks 1 to n with P(k) = k^-s / H(n,s), where H(n,s) is the sum of k^-s over all ranks. Unlike the
// Zipf of math/rand it takes any s >= 0. A draw takes constant time by the alias method (Walker 1977, built as
// Vose 1991 does). It is safe for concurrent use.
type Zipf struct {
	weights []float64 // P(k) by k-1
	keep    []uint64  // by column: the share of 2^64 that stays in the column
	alias   []uint32  // by column: where the rest goes
}

// NewZipf returns the distribution over ranks 1 to n, n >= 1, with exponent s >= 0.
func NewZipf(n int, s float64) *Zipf {
	z := &Zipf{weights: make([]float64, n), keep: make([]uint64, n), alias: make([]uint32, n)}
	var sum float64
	// Small numbers are added first, so that little is lost in rounding.
	for i := n - 1; i >= 0; i-- {
		z.weights[i] = math.Pow(float64(i+1), -s)
		sum += z.weights[i]
	}
	for i := range z.weights {
		z.weights[i] /= sum
	}
	z.build()
	return z
}

// build fills n columns of height 1/n: each holds one rank's rest and is topped up by one other rank.
func (z *Zipf) build() {
	n := len(z.weights)
	scaled := make([]float64, n)
	var small, large []uint32
	for i, w := range z.weights {
		scaled[i] = w * float64(n)
		if scaled[i] < 1 {
			small = append(small, uint32(i))
		} else {
			large = append(large, uint32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		lo, hi := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		z.keep[lo] = uint64(scaled[lo] * (1 << 63) * 2)
		z.alias[lo] = hi
		scaled[hi] -= 1 - scaled[lo]
		if scaled[hi] < 1 {
			large = large[:len(large)-1]
			small = append(small, hi)
		}
	}
	// The columns that are left differ from full ones by rounding only.
	for _, i := range append(small, large...) {
		z.keep[i], z.alias[i] = math.MaxUint64, i
	}
}

// P returns the probability of rank, 1 to n.
func (z *Zipf) P(rank int) float64 { return z.weights[rank-1] }

// Rank draws one rank, 1 to n, from one number of r.
func (z *Zipf) Rank(r *rand.Rand) int {
	// The high half is a uniform column, the low half a uniform height in it.
	column, height := bits.Mul64(r.Uint64(), uint64(len(z.keep)))
	if height < z.keep[column] {
		return int(column) + 1
	}
	return int(z.alias[column]) + 1
}
