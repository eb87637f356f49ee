package redisbook

import (
	"errors"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// P2: Redis may execute a pipeline in several turns, and apply a whole large transaction in between. The lookups may
// then have seen a part of it, although both checkpoints say "whole".
func TestLookupsAroundALargeTransactionAreNotBelieved_P2(t *testing.T) {
	before := readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "pyramid_1", LSN: 10, Epoch: 1, Token: "t"}
	after := before
	after.LSN = 20
	if err := same(before, after); err != nil {
		t.Errorf("small transactions in between: %v", err)
	}
	after.Phase++
	if err := same(before, after); !errors.Is(err, bidbook.ErrIncomplete) {
		t.Errorf("a large transaction in between: %v", err)
	}
}
