package drill

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/stock-pyramid/stock-pyramid/client"
)

// Problem types that decide (docs/PROBLEMS.md).
const (
	typeUnknown      = "/problems/outcome-unknown"
	typePositionLost = "/problems/position-lost"
)

func problemType(a client.Answer) string {
	var p struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(a.Body, &p) // what is no problem document has no type
	return p.Type
}

// attempt is what one answer says about a bid.
type attempt uint8

const (
	placed  attempt = iota // 201
	notDone                // surely not done; it may be sent again
	inDoubt                // perhaps done
	refused                // not done, and never will be
)

// judgeBid judges the answer to an attempt to place a bid, or the error instead of an answer.
func judgeBid(a client.Answer, err error) attempt {
	switch {
	case err != nil:
		return inDoubt
	case a.Status == http.StatusCreated:
		return placed
	case a.Status == http.StatusTooManyRequests:
		return notDone
	case a.Status == http.StatusServiceUnavailable && problemType(a) != typeUnknown:
		return notDone
	case a.Status >= http.StatusInternalServerError, a.Status == http.StatusRequestTimeout:
		return inDoubt
	}
	return refused
}

// read is what one answer is worth to a reader.
type read uint8

const (
	readOK      read = iota
	readRefused      // with 409, 422, 429, 503 or the like: nothing is shown, so nothing is wrong
	readFailed       // without an answer
	readLost         // position-lost: an acknowledged position must never be
	readWrong
)

// judgeRead judges an answer to a read. want, if it is not nil, is an acknowledged bid that the answer must hold,
// because the read asked for its position. The answer may be a list, newest first, of at most limit bids, or one bid.
// shown are all bids of the answer.
func judgeRead(a client.Answer, err error, want *Bid, limit int) (verdict read, shown []Bid, why string) {
	switch {
	case err != nil:
		return readFailed, nil, reason(err)
	case want != nil && a.Status == http.StatusNotFound:
		return readWrong, nil, fmt.Sprintf("%s: 404 for %+v", path(a), *want)
	case a.Status != http.StatusOK && problemType(a) == typePositionLost:
		return readLost, nil, problemType(a)
	case a.Status != http.StatusOK:
		return readRefused, nil, fmt.Sprintf("%d %s", a.Status, problemType(a))
	}
	var page struct {
		Bids *[]Bid `json:"bids"`
		Bid
	}
	if err := json.Unmarshal(a.Body, &page); err != nil {
		return readWrong, nil, fmt.Sprintf("%s: %v", path(a), err)
	}
	shown = []Bid{page.Bid}
	if page.Bids != nil {
		shown = *page.Bids
	}
	if want != nil && !holds(shown, *want, limit) {
		return readWrong, shown, fmt.Sprintf("%s at %s lacks %+v", path(a), a.Header.Get("Read-LSN"), *want)
	}
	return readOK, shown, ""
}

// holds says whether a bid is among those shown, or may be on the next page.
func holds(shown []Bid, want Bid, limit int) bool {
	older := false // ids rise with the time of a raffle's bids
	for _, b := range shown {
		if b == want {
			return true
		}
		older = older || b.ID < want.ID
	}
	return len(shown) == limit && !older
}

func path(a client.Answer) string { return a.Header.Get("Read-Path") }

// reason is why there was no answer. It is the same text for all requests, so that they are counted together.
func reason(err error) string {
	for of := errors.Unwrap(err); of != nil; of = errors.Unwrap(err) { // the innermost error has neither URL nor ports
		err = of
	}
	return err.Error()
}
