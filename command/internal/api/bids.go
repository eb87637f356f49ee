package api

import (
	"net/http"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

const (
	idempotencyKey      = "Idempotency-Key"
	idempotencyReplayed = "Idempotency-Replayed"
	commitLSN           = "Commit-LSN"
)

// timeFormat always has six decimals, as all times in the system's JSON do.
const timeFormat = "2006-01-02T15:04:05.000000Z"

type bidDocument struct {
	ID        int64  `json:"id"`
	RaffleID  int64  `json:"raffle_id"`
	UserID    int64  `json:"user_id"`
	Size      int16  `json:"size"`
	Price     int32  `json:"price"`
	Quantity  int32  `json:"quantity"`
	CreatedAt string `json:"created_at"`
}

func documentOf(p bid.Placed) bidDocument {
	return bidDocument{ID: p.ID, RaffleID: p.RaffleID, UserID: p.UserID, Size: p.Size, Price: p.Price,
		Quantity: p.Quantity, CreatedAt: formatTime(p.CreatedAt)}
}

func (a *API) placeBid(w http.ResponseWriter, r *http.Request, who auth.Identity) error {
	b, err := readBid(w, r, who)
	if err != nil {
		return err
	}
	result, err := a.Bids.Place(r.Context(), b)
	if err != nil {
		return keyed(err, b.Key)
	}
	h := w.Header()
	h.Set("Location", "/v1/raffles/"+strconv.FormatInt(result.Placed.RaffleID, 10)+"/bids/"+strconv.FormatInt(result.Placed.ID, 10))
	h.Set(commitLSN, result.LSN)
	markReplayed(w, result.Replayed)
	web.WriteJSON(w, r, http.StatusCreated, documentOf(result.Placed))
	return nil
}

func readBid(w http.ResponseWriter, r *http.Request, who auth.Identity) (bid.Bid, error) {
	raffleID, err := pathID(r, "raffle_id")
	if err != nil {
		return bid.Bid{}, err
	}
	key, err := readKey(r)
	if err != nil {
		return bid.Bid{}, err
	}
	var body struct {
		Size     int16  `json:"size"`
		Price    int32  `json:"price"`
		Quantity *int32 `json:"quantity"`
	}
	// If the field is absent, the quantity stays 1. If it is null, the pointer becomes nil and the bid is refused as
	// with 0.
	one := int32(1)
	body.Quantity = &one
	if err := web.ReadJSON(w, r, &body); err != nil {
		return bid.Bid{}, err
	}
	b := bid.Bid{RaffleID: raffleID, UserID: who.UserID, Size: body.Size, Price: body.Price, Key: key}
	if body.Quantity != nil {
		b.Quantity = *body.Quantity
	}
	return b, b.Check()
}

func (a *API) cancelBid(w http.ResponseWriter, r *http.Request, who auth.Identity) error {
	raffleID, err := pathID(r, "raffle_id")
	if err != nil {
		return err
	}
	id, err := pathID(r, "bid_id")
	if err != nil {
		return err
	}
	lsn, err := a.Cancels.Cancel(r.Context(), raffleID, id, who.UserID)
	if err != nil {
		return repeatable(err, "it is not known whether the bid was cancelled; ask again")
	}
	w.Header().Set(commitLSN, lsn)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// pathID reads an id from the path. If the text can't be an id, the answer is 404.
func pathID(r *http.Request, name string) (int64, error) {
	if id := web.PathID(r, name); id != 0 {
		return id, nil
	}
	return 0, web.NoPath.Problem("there is nothing at this path")
}

// readKey returns the request's idempotency key, empty if it sends none.
func readKey(r *http.Request) (string, error) {
	values := r.Header.Values(idempotencyKey)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", web.BadRequest.Problem("send one " + idempotencyKey)
	}
	if err := bid.CheckKey(values[0]); err != nil {
		return "", web.BadRequest.Problem("the " + idempotencyKey + " " + err.Error())
	}
	return values[0], nil
}
