package api

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/raffle"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

type raffleDocument struct {
	ID           int64   `json:"id"`
	ProductID    int64   `json:"product_id"`
	SellerID     int64   `json:"seller_id"`
	StartsAt     string  `json:"starts_at"`
	EndsAt       string  `json:"ends_at"`
	ClosedAt     *string `json:"closed_at"`
	ClosingPrice *int32  `json:"closing_price"`
}

func documentOfRaffle(r raffle.Raffle) raffleDocument {
	d := raffleDocument{ID: r.ID, ProductID: r.ProductID, SellerID: r.SellerID, StartsAt: formatTime(r.StartsAt),
		EndsAt: formatTime(r.EndsAt), ClosingPrice: r.ClosingPrice}
	if r.ClosedAt != nil {
		at := formatTime(*r.ClosedAt)
		d.ClosedAt = &at
	}
	return d
}

func (a *API) openRaffle(w http.ResponseWriter, r *http.Request, who auth.Identity) error {
	n, err := readRaffle(w, r, who)
	if err != nil {
		return err
	}
	opened, err := a.Raffles.Add(r.Context(), n)
	switch {
	case errors.Is(err, raffle.ErrUnknownProduct):
		return invalid(web.FieldError{Field: "product_id", Detail: "is no product"})
	case errors.Is(err, raffle.ErrOver):
		return invalid(web.FieldError{Field: "ends_at", Detail: "must be in the future"})
	case err != nil:
		return keyed(err, n.Key)
	}
	w.Header().Set("Location", fmt.Sprintf("/v1/raffles/%d", opened.Raffle.ID))
	w.Header().Set(commitLSN, opened.LSN)
	markReplayed(w, opened.Replayed)
	web.WriteJSON(w, r, http.StatusCreated, documentOfRaffle(opened.Raffle))
	return nil
}

func markReplayed(w http.ResponseWriter, replayed bool) {
	if replayed {
		w.Header().Set(idempotencyReplayed, "true")
	}
}

func readRaffle(w http.ResponseWriter, r *http.Request, who auth.Identity) (raffle.New, error) {
	key, err := readKey(r)
	if err != nil {
		return raffle.New{}, err
	}
	var body struct {
		ProductID int64   `json:"product_id"`
		StartsAt  *string `json:"starts_at"`
		EndsAt    string  `json:"ends_at"`
	}
	if err := web.ReadJSON(w, r, &body); err != nil {
		return raffle.New{}, err
	}
	n := raffle.New{ProductID: body.ProductID, SellerID: who.UserID, Key: key}
	var flaws []web.FieldError
	if n.ProductID <= 0 {
		flaws = append(flaws, web.FieldError{Field: "product_id", Detail: "must be the id of a product"})
	}
	var errStart, errEnd error
	if body.StartsAt != nil {
		n.StartsAt = new(time.Time)
		if *n.StartsAt, errStart = readTime(*body.StartsAt); errStart != nil {
			flaws = append(flaws, web.FieldError{Field: "starts_at", Detail: errStart.Error()})
		}
	}
	if n.EndsAt, errEnd = readTime(body.EndsAt); errEnd != nil {
		flaws = append(flaws, web.FieldError{Field: "ends_at", Detail: errEnd.Error()})
	}
	if flaws == nil && n.StartsAt != nil && !n.EndsAt.After(*n.StartsAt) {
		flaws = append(flaws, web.FieldError{Field: "ends_at", Detail: "must be after starts_at"})
	}
	if flaws != nil {
		return raffle.New{}, invalid(flaws...)
	}
	return n, nil
}

func (a *API) closeRaffle(w http.ResponseWriter, r *http.Request, _ auth.Identity) error {
	id, err := pathID(r, "raffle_id")
	if err != nil {
		return err
	}
	closed, lsn, err := a.Raffles.Close(r.Context(), id, raffle.ByAdmin)
	if err != nil {
		return err
	}
	w.Header().Set(commitLSN, lsn)
	web.WriteJSON(w, r, http.StatusOK, documentOfRaffle(closed))
	return nil
}

func (a *API) changeRaffle(w http.ResponseWriter, r *http.Request, _ auth.Identity) error {
	id, err := pathID(r, "raffle_id")
	if err != nil {
		return err
	}
	change, err := readChange(w, r)
	if err != nil {
		return err
	}
	changed, lsn, err := a.Raffles.Change(r.Context(), id, change)
	switch {
	case errors.Is(err, raffle.ErrEndsFirst):
		return invalid(web.FieldError{Field: "ends_at", Detail: "must be after starts_at"})
	case errors.Is(err, raffle.ErrOver):
		return invalid(web.FieldError{Field: "ends_at", Detail: "must be in the future"})
	case err != nil:
		return repeatable(err, "it is not known whether the raffle was changed; ask again")
	}
	w.Header().Set(commitLSN, lsn)
	web.WriteJSON(w, r, http.StatusOK, documentOfRaffle(changed))
	return nil
}

func readChange(w http.ResponseWriter, r *http.Request) (c raffle.Change, err error) {
	var body struct {
		StartsAt *string `json:"starts_at"`
		EndsAt   *string `json:"ends_at"`
	}
	if err := web.ReadJSON(w, r, &body); err != nil {
		return c, err
	}
	var flaws []web.FieldError
	for _, field := range []struct {
		name string
		text *string
		to   **time.Time
	}{{"starts_at", body.StartsAt, &c.StartsAt}, {"ends_at", body.EndsAt, &c.EndsAt}} {
		if field.text == nil {
			continue
		}
		at, err := readTime(*field.text)
		if err != nil {
			flaws = append(flaws, web.FieldError{Field: field.name, Detail: err.Error()})
		}
		*field.to = &at
	}
	switch {
	case flaws != nil:
		return c, invalid(flaws...)
	case c == (raffle.Change{}):
		return c, web.BadValue.Problem("there is no field to change")
	}
	return c, nil
}

// readTime reads RFC 3339 with an upper case T and Z and truncates to microseconds, as the database stores times.
func readTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() < 0 || t.UTC().Year() > 9999 {
		return time.Time{}, errors.New("must be a time such as 2026-11-24T01:02:03Z, of 1970 or later")
	}
	return t.Truncate(time.Microsecond), nil
}

func formatTime(t time.Time) string { return t.UTC().Truncate(time.Microsecond).Format(timeFormat) }

func invalid(fields ...web.FieldError) *web.Problem {
	return web.BadValue.Problem("a value is missing or out of range", fields...)
}
