package test

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// row is the columns of a row in the text form of test_decoding; nil if there is no such row.
type row map[string]string

// values parses columns in the form name[type]:value, separated by spaces. Strings are quoted.
func values(columns string) row {
	r := make(row)
	for columns != "" {
		name, rest, _ := strings.Cut(columns, "[")
		_, rest, _ = strings.Cut(rest, "]:")
		var value string
		if strings.HasPrefix(rest, "'") {
			end := closingQuote(rest)
			value, columns = strings.ReplaceAll(rest[1:end], "''", "'"), strings.TrimPrefix(rest[end+1:], " ")
		} else {
			value, columns, _ = strings.Cut(rest, " ")
		}
		r[name] = value
	}
	return r
}

// closingQuote returns where the string ends with which text begins. A quote within the string is doubled.
func closingQuote(text string) int {
	at := 1
	for text[at] != '\'' || strings.HasPrefix(text[at:], "''") {
		if text[at] == '\'' {
			at++
		}
		at++
	}
	return at
}

func (r row) number(column string, failed *error) int64 {
	n, err := strconv.ParseInt(r[column], 10, 64)
	*failed = errors.Join(*failed, err)
	return n
}

func (r row) instant(column string, failed *error) string {
	if r[column] == "infinity" {
		return "infinity" // no path answers such a row
	}
	t, err := time.Parse("2006-01-02 15:04:05.999999-07", r[column])
	*failed = errors.Join(*failed, err)
	return document(t)
}

// has says whether a column is there and not null. Old rows leave nulls out.
func (r row) has(column string) bool { return r[column] != "" && r[column] != "null" }

func (r row) bid() (b bidDocument, err error) {
	if len(r) == 0 {
		return b, nil
	}
	return bidDocument{ID: r.number("id", &err), RaffleID: r.number("raffle_id", &err), UserID: r.number("user_id", &err),
		Size: int16(r.number("size", &err)), Price: r.number("price", &err), Quantity: r.number("quantity", &err),
		CreatedAt: r.instant("created_at", &err)}, err
}

func (r row) raffle() (v raffleDocument, err error) {
	if len(r) == 0 {
		return v, nil
	}
	v = raffleDocument{ID: r.number("id", &err), ProductID: r.number("product_id", &err), SellerID: r.number("seller_id", &err),
		StartsAt: r.instant("starts_at", &err), EndsAt: r.instant("ends_at", &err)}
	if r.has("closed_at") {
		closed := r.instant("closed_at", &err)
		v.ClosedAt = &closed
	}
	if r.has("closing_price") {
		price := r.number("closing_price", &err)
		v.ClosingPrice = &price
	}
	return v, err
}

func (r row) product() (p productDocument, err error) {
	if len(r) == 0 {
		return p, nil
	}
	return productDocument{ID: r.number("id", &err), Name: r["name"], Model: r["model"], Color: r["color"], Category: r["category"],
		ImageURL: r["image_url"], ReleasePrice: r.number("release_price", &err), ReleaseDate: r["release_date"]}, err
}
