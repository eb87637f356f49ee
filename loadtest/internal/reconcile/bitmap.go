package reconcile

// bitmap is a set of numbers from 0. It suits dense numbers.
type bitmap []uint64

// maxBit bounds a bitmap to 512 MB.
const maxBit = 1 << 32

func (b bitmap) has(n int64) bool {
	return n >= 0 && n>>6 < int64(len(b)) && b[n>>6]&(1<<(n&63)) != 0
}

// add returns whether n is new. A number below 0 or above maxBit can't be held and is never new.
func (b *bitmap) add(n int64) bool {
	if n < 0 || n > maxBit || b.has(n) {
		return false
	}
	for n>>6 >= int64(len(*b)) {
		*b = append(*b, 0)
	}
	(*b)[n>>6] |= 1 << (n & 63)
	return true
}
