package bid

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

const (
	// keyWait is how long a statement waits for another transaction that inserts the same key.
	keyWait = 100 * time.Millisecond
	// cancelConns is how many cancellations are in the database at once.
	cancelConns = 3
)

// Store places and cancels bids in the primary, over separate connections. Their sessions must have
// synchronous_commit on, because callers take a Result as durable.
type Store struct {
	server   *primary.Server
	places   *primary.Conns
	cancels  *primary.Conns
	sizes    sizes
	outcomes *prometheus.CounterVec
}

// NewStore makes a store that places at most so many batches at once, and registers its metrics.
func NewStore(server *primary.Server, batches int, reg prometheus.Registerer) *Store {
	s := &Store{server: server, places: server.Conns("bids", batches, keyWait), cancels: server.Conns("cancellations", cancelConns, keyWait),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "command_bids_total", Help: "Bids by what became of them: placed, replayed, cancelled, or the reason of the refusal.",
		}, []string{"outcome"})}
	for _, outcome := range append(labels(), "placed", "replayed", "cancelled", "failed") {
		s.outcomes.WithLabelValues(outcome)
	}
	reg.MustRegister(s.outcomes)
	return s
}

// Place places many bids in one transaction and one round trip, and returns a result for each, in order. The ids and
// times of the placed bids follow that order too. A refused bid does not affect the other bids. A bid whose raffle's
// state is being changed is refused with ErrLocked. The error is ErrUnavailable (no bid was placed),
// ErrUnknownOutcome (the whole transaction was committed, or nothing) or an unexpected one (no bid was placed).
func (s *Store) Place(ctx context.Context, bids []Bid) ([]Result, error) {
	results, err := s.place(ctx, bids)
	if err != nil {
		if len(bids) == 1 || !primary.Divisible(err) { // otherwise its halves are tried and counted
			s.count(err, len(bids))
		}
		return nil, fmt.Errorf("place %d bids: %w", len(bids), err)
	}
	for _, r := range results {
		s.countResult(r)
	}
	return results, nil
}

func (s *Store) place(ctx context.Context, bids []Bid) ([]Result, error) {
	args := arguments(bids)
	var rows []writedb.PlaceBidsRow
	places, raffles, unseen := s.sizes.unseen(bids)
	steps := []primary.Step{{SQL: writedb.ShareRaffles, Args: []any{distinct(args.RaffleIds)}}}
	if len(unseen) > 0 {
		steps = []primary.Step{
			{SQL: writedb.ShareGrowingRaffles, Args: []any{raffles, unseen, distinct(args.RaffleIds)}},
			{SQL: writedb.LimitSizes, Args: []any{MaxSizes, places, raffles, unseen}},
		}
	}
	steps = append(steps, primary.Step{SQL: writedb.PlaceBids, Read: primary.RowsInto(&rows, pgx.RowToStructByPos[writedb.PlaceBidsRow]),
		Args: []any{args.RaffleIds, args.UserIds, args.Sizes, args.Prices, args.Quantities, args.Keys, args.Hashes, args.Firsts, args.Turns}})
	if keyed(bids) {
		steps = append(steps, primary.Step{SQL: writedb.RefuseCancelled, Args: []any{args.RaffleIds, args.UserIds, args.Keys}})
	}
	lsn, err := s.places.Transact(ctx, steps...)
	if err == nil && len(rows) != len(bids) {
		err = fmt.Errorf("%w: %d answers", ErrUnknownOutcome, len(rows))
	}
	if err != nil {
		return nil, err
	}
	for i, row := range rows {
		if row.Placed {
			s.sizes.note(bids[i].RaffleID, bids[i].Size)
		}
	}
	results, again := outcome(bids, rows, lsn)
	s.recall(ctx, bids, results, again)
	return results, nil
}

// Away says whether no server took writes at some time since t, so that Place may have waited for one.
func (s *Store) Away(t time.Time) bool { return s.server.Away(t) }

// arguments lays bids out as the columns of PlaceBids. A bid without a key has no hash.
func arguments(bids []Bid) writedb.PlaceBidsParams {
	n := len(bids)
	a := writedb.PlaceBidsParams{
		RaffleIds: make([]int64, n), UserIds: make([]int64, n), Sizes: make([]int16, n), Prices: make([]int32, n),
		Quantities: make([]int32, n), Keys: make([]string, n), Hashes: make([][]byte, n), Firsts: make([]bool, n), Turns: make([]int32, n),
	}
	for i, b := range bids {
		a.RaffleIds[i], a.UserIds[i], a.Sizes[i], a.Prices[i] = b.RaffleID, b.UserID, b.Size, b.Price
		a.Quantities[i], a.Keys[i] = b.Quantity, b.Key
		if b.Key != "" {
			hash := b.Hash()
			a.Hashes[i] = hash[:]
		}
	}
	order := inKeyOrder(bids)
	for turn, i := range order {
		a.Turns[i] = int32(turn)
		a.Firsts[i] = bids[i].Key == "" || turn == 0 || !sameKey(bids[i], bids[order[turn-1]])
	}
	return a
}

// inKeyOrder returns the places of the bids in the order of their keys. Bids with equal keys keep their order. A
// transaction that inserts a key waits for another transaction that has inserted the same key and not yet ended. All
// batches insert their keys in one order, so they can wait for each other but never deadlock.
func inKeyOrder(bids []Bid) []int {
	places := make([]int, len(bids))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(x, y int) int {
		a, b := bids[x], bids[y]
		return cmp.Or(cmp.Compare(a.RaffleID, b.RaffleID), cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.Key, b.Key))
	})
	return places
}

func distinct(ids []int64) []int64 {
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	return slices.Compact(sorted)
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

// outcome reads the answers of PlaceBids. again lists the bids whose key must be looked up, because a 201 that is
// remembered under the key takes precedence over every refusal except ErrLocked.
func outcome(bids []Bid, rows []writedb.PlaceBidsRow, lsn string) (results []Result, again []int) {
	results = make([]Result, len(bids))
	for i, row := range rows {
		switch {
		case row.Placed:
			results[i].Placed = Placed{Bid: bids[i], ID: row.ID, CreatedAt: row.CreatedAt}
		case row.RaffleRefused:
			results[i].Err = ErrLocked
		case !row.RaffleKnown:
			results[i].Err = ErrUnknownRaffle
		case !row.UserKnown:
			results[i].Err = ErrUnknownUser
		case !row.RaffleOpen:
			results[i].Err = ErrNotOpen
		case row.Oversized:
			results[i].Err = ErrTooManySizes
		default:
			// The key is taken. recall replaces this result by what it finds under the key.
			results[i].Err = ErrUnavailable
		}
		results[i].LSN = lsn
		if !row.Placed && !row.RaffleRefused && bids[i].Key != "" {
			again = append(again, i)
		}
	}
	return results, again
}

// recall looks up the bids that were accepted under the keys of the bids at the given places. It needs a new
// statement after the commit, because the snapshots of the earlier ones do not show the bids that they waited for.
func (s *Store) recall(ctx context.Context, bids []Bid, results []Result, at []int) {
	if len(at) == 0 {
		return
	}
	rows, err := s.findKeys(ctx, bids, at)
	if err == nil && len(rows) == 0 {
		return // the refusals and the position of the transaction count
	}
	var lsn string
	if err == nil {
		lsn, err = confirm(ctx, s.places)
	}
	if err != nil {
		for _, i := range at {
			results[i] = Result{Err: fmt.Errorf("%w: %w", ErrUnavailable, err)}
		}
		return
	}
	for _, row := range rows {
		i := at[row.Ord-1]
		results[i] = replay(bids[i], row, lsn)
	}
}

func (s *Store) findKeys(ctx context.Context, bids []Bid, at []int) (rows []writedb.FindKeysRow, err error) {
	raffles, users, keys := make([]int64, len(at)), make([]int64, len(at)), make([]string, len(at))
	for n, i := range at {
		raffles[n], users[n], keys[n] = bids[i].RaffleID, bids[i].UserID, bids[i].Key
	}
	err = s.places.Read(ctx, func(c *pgx.Conn) error {
		found, err := c.Query(ctx, writedb.FindKeys, raffles, users, keys)
		if err == nil {
			rows, err = pgx.CollectRows(found, pgx.RowToStructByPos[writedb.FindKeysRow])
		}
		return err
	})
	return rows, err
}

// confirm makes sure that what was seen is as durable as a commit of our own (W1), and returns a position past it.
func confirm(ctx context.Context, conns *primary.Conns) (lsn string, err error) {
	return conns.Transact(ctx, primary.Step{SQL: writedb.ConfirmSeen})
}

// replay answers a bid whose key was found.
func replay(b Bid, row writedb.FindKeysRow, lsn string) Result {
	if hash := b.Hash(); string(hash[:]) != string(row.RequestHash) {
		return Result{Err: ErrKeyReused, LSN: lsn}
	}
	b.Size, b.Price, b.Quantity = row.Size, row.Price, row.Quantity
	return Result{Placed: Placed{Bid: b, ID: row.ID, CreatedAt: row.CreatedAt}, Replayed: true, LSN: lsn}
}

// Cancel takes a user's bid back and returns a position at or past the commit's end. Cancelling twice
// succeeds. Errors: ErrUnknownBid, ErrNotYours, ErrNotOpen, ErrLocked, and those of Place.
func (s *Store) Cancel(ctx context.Context, raffleID, id, userID int64) (lsn string, err error) {
	defer func() {
		if err != nil {
			s.count(err, 1)
			err = fmt.Errorf("cancel bid %d of raffle %d: %w", id, raffleID, err)
		}
	}()
	var refused []string
	var moved []int64
	lsn, err = s.cancels.Transact(ctx,
		primary.Step{SQL: writedb.ShareRaffles, Args: []any{[]int64{raffleID}}, Read: primary.RowsInto(&refused, pgx.RowTo[string])},
		primary.Step{SQL: writedb.CancelBid, Args: []any{raffleID, id, userID}, Read: primary.RowsInto(&moved, pgx.RowTo[int64])})
	switch {
	case err != nil:
		return "", err
	case len(refused) != 1 || refused[0] != "{}":
		return "", ErrLocked
	case len(moved) > 0:
		s.sizes.forget(raffleID)
		s.outcomes.WithLabelValues("cancelled").Inc()
		return lsn, nil
	}
	return s.whyNotCancelled(ctx, raffleID, id, userID)
}

func (s *Store) whyNotCancelled(ctx context.Context, raffleID, id, userID int64) (lsn string, err error) {
	var found writedb.FindBidRow
	err = s.cancels.Read(ctx, func(c *pgx.Conn) (err error) {
		found, err = writedb.New(c).FindBid(ctx, writedb.FindBidParams{RaffleID: raffleID, ID: id})
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", ErrUnknownBid
	case err != nil:
		return "", primary.Classify(err)
	case found.UserID != userID:
		return "", ErrNotYours
	case !found.Cancelled:
		return "", ErrNotOpen
	}
	return confirm(ctx, s.cancels)
}
