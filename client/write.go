package client

import (
	"context"
	"net/http"
	"time"
)

// NewBid is what is bid on a size of a raffle.
type NewBid struct {
	Size  int   `json:"size"`  // in mm
	Price int64 `json:"price"` // in KRW, for one pair
	// Quantity is how many pairs the bidder would take; 0 means 1.
	Quantity int64 `json:"quantity,omitempty"`
	// Key is the Idempotency-Key: bids with one key in one raffle are one bid. Keep one with the wish to bid, so that not even
	// a program that is started again bids twice. Without a key each call makes its own.
	Key string `json:"-"`
}

// PlaceBid bids, and sends the bid again with its key until it knows the outcome: after a lost connection, 429, 503, and
// "perhaps done". If it gives up, Receipt.Key is the key with which the same bid may be tried again. The bid was perhaps placed
// if the error is OutcomeUnknown, and otherwise surely not.
func (s *Session) PlaceBid(ctx context.Context, raffleID int64, b NewBid) (Bid, Receipt, error) {
	return create[Bid](ctx, s, rafflePath(raffleID)+"/bids", b, b.Key)
}

// CancelBid cancels a bid of the user while its raffle is open. It may be repeated.
func (s *Session) CancelBid(ctx context.Context, raffleID, bidID int64) (Receipt, error) {
	return s.write(ctx, call{method: http.MethodDelete, target: bidPath(raffleID, bidID)}, nil)
}

// NewRaffle is what an admin opens.
type NewRaffle struct {
	ProductID int64 `json:"product_id"`
	// StartsAt is now if it is zero.
	StartsAt time.Time `json:"starts_at,omitzero"`
	EndsAt   time.Time `json:"ends_at"`
	// Key is the Idempotency-Key, which is kept for seven days. Without one the call makes its own.
	Key string `json:"-"`
}

// OpenRaffle opens a raffle, whose seller is the user. It takes an admin.
func (s *Session) OpenRaffle(ctx context.Context, r NewRaffle) (Raffle, Receipt, error) {
	return create[Raffle](ctx, s, "/v1/raffles", r, r.Key)
}

// RaffleChange moves a raffle. What is zero stays.
type RaffleChange struct {
	StartsAt time.Time `json:"starts_at,omitzero"`
	EndsAt   time.Time `json:"ends_at,omitzero"`
}

// ChangeRaffle moves the start of a raffle before it begins, or its end before it is over. It takes an admin.
func (s *Session) ChangeRaffle(ctx context.Context, raffleID int64, to RaffleChange) (Raffle, Receipt, error) {
	return change[Raffle](ctx, s, call{method: http.MethodPatch, target: rafflePath(raffleID), body: to})
}

// CloseRaffle closes a raffle before its end, for ever. It may be repeated. It takes an admin.
func (s *Session) CloseRaffle(ctx context.Context, raffleID int64) (Raffle, Receipt, error) {
	return change[Raffle](ctx, s, call{method: http.MethodPost, target: rafflePath(raffleID) + "/close"})
}

// NewProduct is what an admin adds. All fields but Key are needed.
type NewProduct struct {
	Name         string `json:"name"`
	Model        string `json:"model"`
	Color        string `json:"color"`
	Category     string `json:"category"`
	ImageURL     string `json:"image_url"`
	ReleasePrice int64  `json:"release_price"` // in KRW
	ReleaseDate  string `json:"release_date"`  // such as 2026-11-24
	// Key is the Idempotency-Key, which is kept for seven days. Without one the call makes its own.
	Key string `json:"-"`
}

// AddProduct adds a product. It takes an admin.
func (s *Session) AddProduct(ctx context.Context, p NewProduct) (Product, Receipt, error) {
	return create[Product](ctx, s, "/v1/products", p, p.Key)
}

// ProductChange changes a product. What is zero stays.
type ProductChange struct {
	Name         string `json:"name,omitempty"`
	Model        string `json:"model,omitempty"`
	Color        string `json:"color,omitempty"`
	Category     string `json:"category,omitempty"`
	ImageURL     string `json:"image_url,omitempty"`
	ReleasePrice int64  `json:"release_price,omitempty"`
	ReleaseDate  string `json:"release_date,omitempty"`
}

// ChangeProduct changes a product. It takes an admin.
func (s *Session) ChangeProduct(ctx context.Context, productID int64, to ProductChange) (Product, Receipt, error) {
	return change[Product](ctx, s, call{method: http.MethodPatch, target: productPath(productID), body: to})
}

// create posts what is new with a key.
func create[T any](ctx context.Context, s *Session, target string, body any, key string) (made T, r Receipt, err error) {
	if key == "" {
		key = newKey()
	}
	r, err = s.write(ctx, call{method: http.MethodPost, target: target, body: body, key: key}, &made)
	return made, r, err
}

// change makes a change that may be repeated.
func change[T any](ctx context.Context, s *Session, q call) (changed T, r Receipt, err error) {
	r, err = s.write(ctx, q, &changed)
	return changed, r, err
}

// write makes a call that may be repeated: it has a key, or the API says so.
func (s *Session) write(ctx context.Context, q call, into any) (Receipt, error) {
	q.authorized, q.repeatable, q.write = true, true, true
	a, err := s.do(ctx, q, into)
	h := a.Header
	return Receipt{Position(h.Get("Commit-LSN")), q.key, h.Get("Idempotency-Replayed") == "true", h.Get("X-Request-Id")}, err
}
