package bid

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

// Store places and cancels bids in the primary. Its pool's sessions must have synchronous_commit on:
// a Result is believed to be durable.
type Store struct {
	pool     *pgxpool.Pool
	outcomes *prometheus.CounterVec
}

// NewStore makes a store and registers its metrics.
func NewStore(pool *pgxpool.Pool, reg prometheus.Registerer) *Store {
	s := &Store{pool: pool, outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "bids_total", Help: "Bids by what became of them: placed, replayed, cancelled, or the reason of the refusal.",
	}, []string{"outcome"})}
	reg.MustRegister(s.outcomes)
	return s
}

// Place places many bids in one transaction and one round trip, and returns a result for each, in
// order. A bid that is refused doesn't hinder its neighbours. The error is ErrUnavailable (nothing
// was placed), ErrUnknownOutcome (all or nothing was) or an unexpected one (nothing was).
func (s *Store) Place(ctx context.Context, bids []Bid) ([]Result, error) {
	sorted, places := inKeyOrder(bids)
	found, err := s.placeSorted(ctx, sorted)
	if err != nil {
		if len(bids) == 1 || !divisible(err) { // else its parts are tried and counted
			s.count(err, len(bids))
		}
		return nil, fmt.Errorf("place %d bids: %w", len(bids), err)
	}
	results := make([]Result, len(bids))
	for i, r := range found {
		s.countResult(r)
		results[places[i]] = r
	}
	return results, nil
}

// inKeyOrder returns the bids sorted by their keys, and each one's place in the original order. A
// transaction that inserts a key waits for the one that has inserted it before: in one order
// everywhere, none wait in a circle.
func inKeyOrder(bids []Bid) (sorted []Bid, places []int) {
	places = make([]int, len(bids))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(x, y int) int {
		a, b := bids[x], bids[y]
		return cmp.Or(cmp.Compare(a.RaffleID, b.RaffleID), cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.Key, b.Key))
	})
	sorted = make([]Bid, len(bids))
	for i, place := range places {
		sorted[i] = bids[place]
	}
	return sorted, places
}

func (s *Store) placeSorted(ctx context.Context, bids []Bid) ([]Result, error) {
	args := arguments(bids)
	var rows []writedb.PlaceBidsRow
	var undone []int64
	steps := []step{{sql: writedb.PlaceBids, read: rowsInto(&rows, pgx.RowToStructByPos[writedb.PlaceBidsRow]),
		args: []any{args.RaffleIds, args.UserIds, args.Sizes, args.Prices, args.Quantities, args.Keys, args.Hashes, args.Firsts}}}
	if keyed(bids) {
		steps = append(steps, step{sql: writedb.UndoCancelled, read: rowsInto(&undone, pgx.RowTo[int64]),
			args: []any{args.RaffleIds, args.UserIds, args.Keys}})
	}
	lsn, err := transact(ctx, s.pool, steps...)
	if err == nil && len(rows) != len(bids) {
		err = fmt.Errorf("%w: %d answers", ErrUnknownOutcome, len(rows))
	}
	if err != nil {
		return nil, err
	}
	results, again := outcome(bids, rows, undone, lsn)
	s.recall(ctx, bids, results, again)
	return results, nil
}

// arguments lays sorted bids out as the columns of PlaceBids. A bid without a key has no hash.
func arguments(bids []Bid) writedb.PlaceBidsParams {
	n := len(bids)
	a := writedb.PlaceBidsParams{
		RaffleIds: make([]int64, n), UserIds: make([]int64, n), Sizes: make([]int16, n), Prices: make([]int32, n),
		Quantities: make([]int32, n), Keys: make([]string, n), Hashes: make([][]byte, n), Firsts: make([]bool, n),
	}
	for i, b := range bids {
		a.RaffleIds[i], a.UserIds[i], a.Sizes[i], a.Prices[i] = b.RaffleID, b.UserID, b.Size, b.Price
		a.Quantities[i], a.Keys[i] = b.Quantity, b.Key
		if b.Key != "" {
			hash := b.Hash()
			a.Hashes[i] = hash[:]
		}
		a.Firsts[i] = b.Key == "" || i == 0 || !sameKey(b, bids[i-1])
	}
	return a
}

func sameKey(a, b Bid) bool {
	return a.RaffleID == b.RaffleID && a.UserID == b.UserID && a.Key == b.Key
}

func keyed(bids []Bid) bool {
	for _, b := range bids {
		if b.Key != "" {
			return true
		}
	}
	return false
}

// outcome reads the answers of PlaceBids. again are the bids whose key must be looked up: whatever
// else is in their way, a remembered 201 comes first.
func outcome(bids []Bid, rows []writedb.PlaceBidsRow, undone []int64, lsn string) (results []Result, again []int) {
	takenBack := make(map[int64]bool, len(undone))
	for _, id := range undone {
		takenBack[id] = true
	}
	results = make([]Result, len(bids))
	for i, row := range rows {
		placed := row.Placed && !takenBack[row.ID]
		switch {
		case placed:
			results[i].Placed = Placed{Bid: bids[i], ID: row.ID, CreatedAt: row.CreatedAt}
		case !row.RaffleKnown:
			results[i].Err = ErrUnknownRaffle
		case !row.UserKnown:
			results[i].Err = ErrUnknownUser
		case !row.RaffleOpen:
			results[i].Err = ErrNotOpen
		default:
			// The key is taken. If nothing is found under it, it was pruned this very moment.
			results[i].Err = ErrUnavailable
		}
		results[i].LSN = lsn
		if !placed && bids[i].Key != "" {
			again = append(again, i)
		}
	}
	return results, again
}

// recall looks up what was accepted under the keys of the bids at the given places. The statements
// are new ones after the commit: those before it don't see what they waited for.
func (s *Store) recall(ctx context.Context, bids []Bid, results []Result, at []int) {
	if len(at) == 0 {
		return
	}
	found := make([][]writedb.FindKeyRow, len(at))
	lsn, err := s.findKeys(ctx, bids, at, found)
	for n, i := range at {
		switch {
		case err != nil:
			results[i] = Result{Err: fmt.Errorf("%w: %w", ErrUnavailable, err)}
		case len(found[n]) > 0:
			results[i] = replay(bids[i], found[n][0], lsn)
		}
	}
}

func (s *Store) findKeys(ctx context.Context, bids []Bid, at []int, found [][]writedb.FindKeyRow) (lsn string, err error) {
	var batch pgx.Batch
	for n, i := range at {
		batch.Queue(writedb.FindKey, bids[i].RaffleID, bids[i].UserID, bids[i].Key).
			Query(rowsInto(&found[n], pgx.RowToStructByPos[writedb.FindKeyRow]))
	}
	// After the lookups, so that it is past the commit of what they find.
	batch.Queue(writedb.FlushPosition).QueryRow(func(row pgx.Row) error { return row.Scan(&lsn) })
	err = withConn(ctx, s.pool, func(c *pgxpool.Conn) error { return c.SendBatch(ctx, &batch).Close() })
	return lsn, err
}

// replay answers a bid whose key was found.
func replay(b Bid, row writedb.FindKeyRow, lsn string) Result {
	if hash := b.Hash(); string(hash[:]) != string(row.RequestHash) {
		return Result{Err: ErrKeyReused, LSN: lsn}
	}
	b.Size, b.Price, b.Quantity = row.Size, row.Price, row.Quantity
	return Result{Placed: Placed{Bid: b, ID: row.ID, CreatedAt: row.CreatedAt}, Replayed: true, LSN: lsn}
}

// Cancel takes a user's bid back and returns a position at or past the commit's end, T-X/X. Cancelling twice
// succeeds. Errors: ErrUnknownBid, ErrNotYours, ErrNotOpen, and those of Place.
func (s *Store) Cancel(ctx context.Context, raffleID, id, userID int64) (lsn string, err error) {
	defer func() {
		if err != nil {
			s.count(err, 1)
			err = fmt.Errorf("cancel bid %d of raffle %d: %w", id, raffleID, err)
		}
	}()
	var moved []int64
	lsn, err = transact(ctx, s.pool, step{sql: writedb.CancelBid, args: []any{raffleID, id, userID},
		read: rowsInto(&moved, pgx.RowTo[int64])})
	if err != nil {
		return "", err
	}
	if len(moved) > 0 {
		s.outcomes.WithLabelValues("cancelled").Inc()
		return lsn, nil
	}
	return s.whyNotCancelled(ctx, raffleID, id, userID)
}

func (s *Store) whyNotCancelled(ctx context.Context, raffleID, id, userID int64) (lsn string, err error) {
	var batch pgx.Batch
	var found []writedb.FindBidRow
	batch.Queue(writedb.FindBid, raffleID, id).Query(rowsInto(&found, pgx.RowToStructByPos[writedb.FindBidRow]))
	batch.Queue(writedb.FlushPosition).QueryRow(func(row pgx.Row) error { return row.Scan(&lsn) })
	err = withConn(ctx, s.pool, func(c *pgxpool.Conn) error { return c.SendBatch(ctx, &batch).Close() })
	switch {
	case err != nil:
		return "", classify(err)
	case len(found) == 0:
		return "", ErrUnknownBid
	case found[0].UserID != userID:
		return "", ErrNotYours
	case !found[0].Cancelled:
		return "", ErrNotOpen
	}
	return lsn, nil
}

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

func (s *Store) count(err error, n int) {
	s.outcomes.WithLabelValues(reason(err)).Add(float64(n))
}

// reason is the label of an error.
func reason(err error) string {
	for label, e := range map[string]error{
		"unknown_raffle": ErrUnknownRaffle, "not_open": ErrNotOpen, "unknown_user": ErrUnknownUser,
		"key_reused": ErrKeyReused, "unknown_bid": ErrUnknownBid, "not_yours": ErrNotYours,
		"unavailable": ErrUnavailable, "unknown_outcome": ErrUnknownOutcome,
	} {
		if errors.Is(err, e) {
			return label
		}
	}
	return "failed"
}
