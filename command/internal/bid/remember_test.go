package bid

import "testing"

// The remembered sizes of a raffle are bounded, as are the remembered raffles.
func TestSizesRememberedAreBounded(t *testing.T) {
	var s sizes
	for size := range int16(1000) {
		s.note(1, size)
		s.note(1, size)
		if !s.has(1, size) || len(s.raffles[1]) > MaxSizes {
			t.Fatalf("size %d: %d are remembered", size, len(s.raffles[1]))
		}
	}
	for raffle := range int64(2 * mostRaffles) {
		s.note(raffle, 1)
	}
	if len(s.raffles) > mostRaffles {
		t.Errorf("%d raffles are remembered", len(s.raffles))
	}
}
