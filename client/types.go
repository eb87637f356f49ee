package client

import "time"

// Product is what a raffle sells.
type Product struct {
	ID           int64  `json:"id"`
	Name         string `json:"name"`
	Model        string `json:"model"`
	Color        string `json:"color"`
	Category     string `json:"category"`
	ImageURL     string `json:"image_url"`
	ReleasePrice int64  `json:"release_price"` // in KRW
	ReleaseDate  string `json:"release_date"`  // such as 2026-11-24
}

// Raffle is an auction of one product (docs/DOMAIN.md).
type Raffle struct {
	ID        int64     `json:"id"`
	ProductID int64     `json:"product_id"`
	SellerID  int64     `json:"seller_id"`
	StartsAt  time.Time `json:"starts_at"`
	EndsAt    time.Time `json:"ends_at"`
	// ClosedAt is nil while the raffle may still be bid on, or has not begun.
	ClosedAt *time.Time `json:"closed_at"`
	// ClosingPrice is the highest price; nil before the close and without bids.
	ClosingPrice *int64 `json:"closing_price"`
	// Product is there if it was asked for.
	Product *Product `json:"product"`
	// Highest is the highest price that is bid, if it was asked for; nil without bids.
	Highest *int64 `json:"highest"`
}

// RaffleDetail is a raffle with its product and what is bid per size.
type RaffleDetail struct {
	Raffle
	BidCount int64 `json:"bid_count"`
	// Sizes are the sizes with bids, ascending.
	Sizes []SizeSummary `json:"sizes"`
}

// SizeSummary is what is bid on one size.
type SizeSummary struct {
	Size    int   `json:"size"` // in mm
	Count   int64 `json:"count"`
	Highest int64 `json:"highest"` // in KRW
}

// Bid is a bid. It never changes.
type Bid struct {
	ID        int64     `json:"id"`
	RaffleID  int64     `json:"raffle_id"`
	UserID    int64     `json:"user_id"`
	Size      int       `json:"size"`     // in mm
	Price     int64     `json:"price"`    // in KRW, of one pair
	Quantity  int64     `json:"quantity"` // how many pairs the bidder would take
	CreatedAt time.Time `json:"created_at"`
}

// MyBid is a bid of the session's user.
type MyBid struct {
	Bid
	// Standing is Leading or Outbid before the close, Won or Lost after it.
	Standing string `json:"standing"`
}

// The standings of MyBid.
const (
	Leading = "leading"
	Outbid  = "outbid"
	Won     = "won"
	Lost    = "lost"
)

// BestBids are the best bid of each size of a raffle, ascending by size. They lead, or have won once ClosedAt is set.
type BestBids struct {
	RaffleID int64      `json:"raffle_id"`
	ClosedAt *time.Time `json:"closed_at"`
	Bids     []Bid      `json:"bids"`
}

// Reading says which state an answer shows.
type Reading struct {
	// Path is what answered: redis, replica, standby, primary or scan.
	Path string
	// Position is the Read-LSN: the answer holds everything that was committed up to there.
	Position Position
	// Lag is how far the path was behind the primary.
	Lag time.Duration
	// RequestID names the request in the logs of the system.
	RequestID string
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T
	// Next is the Cursor of the next page; "" on the last one.
	Next string
	Reading
}

// Receipt is what a write leaves.
type Receipt struct {
	// Position is the Commit-LSN. A read AtLeast there shows the write. A session does that by itself.
	Position Position
	// Key is the Idempotency-Key of the request, also if the call has failed: with it the same request may be sent again.
	Key string
	// Replayed says that an earlier request with the key had done it.
	Replayed bool
	// RequestID names the request in the logs of the system.
	RequestID string
}
