package bid

import "errors"

func (s *Store) countResult(r Result) {
	switch {
	case r.Err != nil:
		s.count(r.Err, 1)
	case r.Replayed:
		s.outcomes.WithLabelValues("replayed").Inc()
	default:
		s.outcomes.WithLabelValues("placed").Inc()
	}
}

// count counts bids that failed. It ignores ErrLocked, because such a bid is tried again.
func (s *Store) count(err error, n int) {
	if errors.Is(err, ErrLocked) {
		return
	}
	s.outcomes.WithLabelValues(reason(err)).Add(float64(n))
}

// reasons are the labels of errors.
var reasons = []struct {
	err   error
	label string
}{
	{ErrTooManySizes, "too_many_sizes"}, {ErrUnknownRaffle, "unknown_raffle"}, {ErrNotOpen, "not_open"}, {ErrUnknownUser, "unknown_user"},
	{ErrKeyReused, "key_reused"}, {ErrUnknownBid, "unknown_bid"}, {ErrNotYours, "not_yours"},
	{ErrUnknownOutcome, "unknown_outcome"}, {ErrUnavailable, "unavailable"},
}

func labels() (all []string) {
	for _, r := range reasons {
		all = append(all, r.label)
	}
	return all
}

func reason(err error) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.label
		}
	}
	return "failed"
}
