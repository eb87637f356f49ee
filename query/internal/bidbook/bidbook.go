// Package bidbook answers what raffles there are and who bids what. It asks Redis, the standby through pgpool-II, the
// standby directly, and at last the primary. Every answer says which of them gave it and up to which position of the
// write-ahead log it is complete.
package bidbook

import (
	"context"
	"errors"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// Path names the kind of node that answered.
type Path string

// The paths in the order in which they are tried. PathPrimary is tried for a Min-LSN that no other path has reached,
// and if another path's answer is too stale or not proven to be of the primary's history. PathScan is tried only if
// it is forced. It reads the standby without an index, for comparison.
const (
	PathRedis   Path = "redis"
	PathReplica Path = "replica"
	PathStandby Path = "standby"
	PathPrimary Path = "primary"
	PathScan    Path = "scan"
)

// Position says how current an answer is: it holds everything committed up to At, Beat is the newest heartbeat
// that the node shows, and LagMillis is how far the node is behind the primary, in milliseconds.
type Position struct {
	Path      Path
	At        lsn.Position
	Beat      heartbeat.Beat
	LagMillis int64
}

var (
	// ErrNotFound says that there is no such raffle or bid, at the position returned with it.
	ErrNotFound = errors.New("not found")
	// ErrNoBid says that there is no such bid; it is an ErrNotFound.
	ErrNoBid = fmt.Errorf("bid: %w", ErrNotFound)
	// ErrBehind says that the path is up but has not reached the wanted position.
	ErrBehind = errors.New("behind the wanted position")
	// ErrIncomplete says that the read model can't prove that it holds the whole answer (R1).
	ErrIncomplete = errors.New("read model incomplete")
	// ErrUnavailable says that no path answered.
	ErrUnavailable = errors.New("no path answered")
	// ErrBeyond says that the wanted position is beyond the primary's.
	ErrBeyond = errors.New("position beyond the primary's")
	// ErrLost says that the database left the history of the wanted position before that position.
	ErrLost = errors.New("position lost")
	// ErrCursorLost is an ErrLost of the position that a cursor carries, which is that of the list's first page.
	ErrCursorLost = fmt.Errorf("first page: %w", ErrLost)
	// ErrUnknownTimeline says that the wanted position is of a timeline that no node has shown yet.
	ErrUnknownTimeline = errors.New("timeline not known")
	// ErrCircuitOpen says that the path's breaker is open.
	ErrCircuitOpen = errors.New("circuit open after failures")
	// ErrUndecided is an ErrIncomplete that concerns one raffle or size. The rest of the read model may be complete.
	ErrUndecided = fmt.Errorf("%w: of this only", ErrIncomplete)
	// ErrCounting is an ErrBusy: all places for counts of bids are taken.
	ErrCounting = fmt.Errorf("%w that count bids", ErrBusy)
	// ErrTooMuch is an ErrCounting: counting the bids of a raffle took the server too long. Other reads of the raffle
	// may work, because they do not count.
	ErrTooMuch = fmt.Errorf("%w: too many bids", ErrCounting)
	// ErrBusy says that too many other reads are under way on the path, or waiting for it.
	ErrBusy = errors.New("too many reads at once")
)

// Order is the order of a list of bids.
type Order byte

// Newest is (created_at, id) descending; Highest is price descending, then (created_at, id) ascending.
const (
	Newest  Order = 'n'
	Highest Order = 'h'
)

// Status filters raffles.
type Status byte

// Open raffles have started and are not closed. A raffle whose end has passed is not Closed before it has been
// closed.
const (
	Open   Status = 'o'
	Closed Status = 'c'
	All    Status = 'a'
)

// String is the status as the API and SQL spell it.
func (s Status) String() string {
	return map[Status]string{Open: "open", Closed: "closed", All: "all"}[s]
}

// Matches does what the WHERE of the SQL paths does, at the time now (microseconds since the Unix epoch).
func (s Status) Matches(r readmodel.Raffle, now int64) bool {
	switch s {
	case Open:
		return r.ClosedAt == 0 && r.StartsAt <= now
	case Closed:
		return r.ClosedAt != 0
	}
	return true
}

// Keyset is the row that a page continues after: the time that its order uses (created_at or ends_at,
// microseconds since the Unix epoch), the id, and for Highest the price in KRW.
type Keyset struct {
	At, ID int64
	Price  int32
}

// BidsQuery asks for up to Limit bids of a raffle and size; After is nil for the first page. A reader may put the
// bids into Buf if they fit, so that many pages need one allocation. Buf may be nil.
type BidsQuery struct {
	Buf      []readmodel.Bid
	RaffleID int64
	Size     int16
	Order    Order
	After    *Keyset
	Limit    int
}

// SizeQuery asks for up to Limit bids of a size over all raffles, newest first; Buf as in BidsQuery.
type SizeQuery struct {
	Buf   []readmodel.Bid
	Size  int16
	After *Keyset
	Limit int
}

// UserQuery asks for up to Limit bids of a user, newest first, in one raffle or in all (RaffleID 0).
type UserQuery struct {
	UserID, RaffleID int64
	After            *Keyset
	Limit            int
}

// RafflesQuery asks for up to Limit raffles, latest end first; After is nil for the first page.
type RafflesQuery struct {
	Status Status
	After  *Keyset
	Limit  int
}

// FoundBid is one bid. Final says that its raffle is closed, so that the bid can't be cancelled any more.
type FoundBid struct {
	readmodel.Bid
	Final bool
}

// BidPage is a page of bids; More says that there is a further one.
type BidPage struct {
	Bids []readmodel.Bid
	More bool
}

// RafflePage is a page of raffles; More says that there is a further one. If Listing is not nil, Raffles is the part
// of the listing that begins at index First.
type RafflePage struct {
	Raffles []readmodel.Raffle
	More    bool
	Listing *Listing
	First   int
}

// Listing is all raffles of a status, latest end first, or the first of very many. As long as nothing changes,
// readers return the same pointer, so that a caller can keep what it has made of the listing. Listings are shared, so
// nobody may change one.
type Listing struct {
	Raffles []readmodel.Raffle
	// At is a position from which on the status has these raffles.
	At lsn.Position
}

// SizeSummary is how many bids a size has in a raffle and the highest price (KRW) among them.
type SizeSummary struct {
	Size    int16
	Count   int64
	Highest int32
}

// RaffleDetail is a raffle, its product and the sizes that have bids, ascending.
type RaffleDetail struct {
	Raffle  readmodel.Raffle
	Product readmodel.Product
	Sizes   []SizeSummary
}

// Reader is one path. If the path has not reached minLSN, a lookup returns ErrBehind and the path's position. Every
// path has reached the zero position.
type Reader interface {
	Catalog
	Merger
	// Probe returns the path's position, as cheaply as the path can.
	Probe(ctx context.Context) (Position, error)
	// Raffles lists raffles.
	Raffles(ctx context.Context, q RafflesQuery, minLSN lsn.Position) (RafflePage, Position, error)
	// Entry returns a raffle without its product and bids, or ErrNotFound. It costs less than any other lookup of a
	// raffle.
	Entry(ctx context.Context, id int64, minLSN lsn.Position) (readmodel.Raffle, Position, error)
	// Raffle returns one raffle or ErrNotFound.
	Raffle(ctx context.Context, id int64, minLSN lsn.Position) (RaffleDetail, Position, error)
	// Bids lists bids of a raffle and size, or returns ErrNotFound for an unknown raffle.
	Bids(ctx context.Context, q BidsQuery, minLSN lsn.Position) (BidPage, Position, error)
	// SizeBids lists bids of a size over all raffles.
	SizeBids(ctx context.Context, q SizeQuery, minLSN lsn.Position) (BidPage, Position, error)
}

// Finder is a path that also finds single bids and a user's bids, for which the read model has no keys.
type Finder interface {
	Reader
	// Bid returns one bid or ErrNoBid.
	Bid(ctx context.Context, raffleID, id int64, minLSN lsn.Position) (FoundBid, Position, error)
	// UserBids lists bids of a user.
	UserBids(ctx context.Context, q UserQuery, minLSN lsn.Position) (UserPage, Position, error)
}

// Cut makes a page of rows that were read with a limit of limit+1; more says that there is a further page.
func Cut[T any](rows []T, limit int) (page []T, more bool) {
	if len(rows) > limit {
		return rows[:limit], true
	}
	return rows, false
}
