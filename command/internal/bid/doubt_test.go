package bid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// doubtfulWriter loses the outcome of its first batch and then answers as told, batch by batch.
type doubtfulWriter struct {
	neverAway
	batches [][]Bid
	then    []func(Bid) Result
}

func (w *doubtfulWriter) Place(_ context.Context, bids []Bid) ([]Result, error) {
	w.batches = append(w.batches, bids)
	n := len(w.batches) - 2
	if n < 0 || n >= len(w.then) {
		return nil, fmt.Errorf("%w: no answer", ErrUnknownOutcome)
	}
	results := make([]Result, len(bids))
	for i, b := range bids {
		results[i] = w.then[n](b)
	}
	return results, nil
}

// W2: after an unknown outcome only bids with keys are tried again, once, and only an answer that tells what became of
// them replaces the unknown outcome.
func TestOnlyBidsWithKeysAreTriedAgain_W2(t *testing.T) {
	refuse := func(err error) func(Bid) Result { return func(Bid) Result { return Result{Err: err} } }
	placed := func(b Bid) Result { return Result{Placed: Placed{Bid: b, ID: 7}, Replayed: true} }
	for name, c := range map[string]struct {
		then  []func(Bid) Result
		want  error
		tries int
	}{
		"found":           {[]func(Bid) Result{placed}, nil, 2},
		"other values":    {[]func(Bid) Result{refuse(ErrKeyReused)}, ErrKeyReused, 2},
		"unknown user":    {[]func(Bid) Result{refuse(ErrUnknownUser)}, ErrUnknownUser, 2},
		"closed since":    {[]func(Bid) Result{refuse(ErrNotOpen)}, ErrUnknownOutcome, 2},
		"no answer again": {nil, ErrUnknownOutcome, 2},
		"locked, found":   {[]func(Bid) Result{refuse(ErrLocked), placed}, nil, 3},
	} {
		w := &doubtfulWriter{then: c.then}
		limits := testLimits
		limits.Lanes = 0 // the test runs the batches
		b := NewBatcher(w, limits, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		b.queue.underway = 1 // so that the bids share a batch
		var bids []*waiting
		for _, key := range []string{"", "key"} {
			one := &waiting{bid: Bid{RaffleID: 1, Key: key}, since: time.Now(), result: make(chan Result, 1)}
			if _, err := b.queue.enter(one, 10, 10); err != nil {
				t.Fatal(err)
			}
			bids = append(bids, one)
		}
		b.queue.underway = 0
		for !b.queue.empty() {
			if batch, _ := b.queue.collect(10, time.Now()); batch != nil {
				b.run(batch)
			} else {
				<-b.queue.changed // the lock is tried again later
			}
		}
		if r := <-bids[0].result; !errors.Is(r.Err, ErrUnknownOutcome) {
			t.Errorf("%s: the bid without a key: %v", name, r.Err)
		}
		if r := <-bids[1].result; !errors.Is(r.Err, c.want) {
			t.Errorf("%s: the bid with a key: %v, want %v", name, r.Err, c.want)
		}
		if len(w.batches) != c.tries || len(w.batches[1]) != 1 || w.batches[1][0].Key != "key" {
			t.Errorf("%s: batches %v", name, w.batches)
		}
	}
}
