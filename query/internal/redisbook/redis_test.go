package redisbook

import (
	"errors"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// P2: a pipeline that is read in several turns may lie around a whole large transaction, of which its lookups saw
// a part. Both checkpoints say "whole" then.
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
