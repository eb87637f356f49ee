package test

import (
	"errors"
	"slices"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// change is what a changed row does to the tables, and its events.
type change struct {
	apply  func(*tables)
	events []happened
}

// parseChange parses a line of test_decoding, such as
//
//	table public.bids: UPDATE: old-key: id[bigint]:1 ... new-tuple: id[bigint]:1 ...
//
// It returns an empty change for other tables and for messages.
func parseChange(line string) (change, error) {
	of, rest, _ := strings.Cut(strings.TrimPrefix(line, "table "), ": ")
	kind, columns, _ := strings.Cut(rest, ": ")
	if kind == "TRUNCATE" && slices.Contains(strings.Split(of, ", "), "public.bids") {
		return change{apply: (*tables).truncate}, nil
	}
	var old, now string
	switch kind {
	case "INSERT":
		now = columns
	case "DELETE":
		old = columns
	case "UPDATE":
		old, now, _ = strings.Cut(strings.TrimPrefix(columns, "old-key: "), "new-tuple: ")
	}
	switch of {
	case "public.bids":
		return bidChange(values(old), values(now))
	case "public.raffles":
		return raffleChange(values(old), values(now))
	case "public.products":
		p, err := values(now).product()
		return change{apply: func(t *tables) { t.products[p.ID] = p; t.versions[list{}]++ }}, err
	}
	return change{}, nil
}

func bidChange(old, now row) (c change, err error) {
	was, err1 := old.bid()
	is, err2 := now.bid()
	row := newBid(is)
	c.apply = func(t *tables) {
		t.remove(was.ID)
		if is.ID != 0 {
			t.add(row)
		}
	}
	if was.ID != 0 && was != is {
		c.events = append(c.events, happened{raffle: was.RaffleID, kind: readmodel.EventCancel, bid: was})
	}
	if is.ID != 0 && was != is {
		c.events = append(c.events, happened{raffle: is.RaffleID, kind: readmodel.EventBid, bid: is})
	}
	return c, errors.Join(err1, err2)
}

func raffleChange(old, now row) (c change, err error) {
	was, err1 := old.raffle()
	is, err2 := now.raffle()
	c.apply = func(t *tables) {
		t.versions[list{}]++
		delete(t.raffles, was.ID)
		if is.ID != 0 {
			t.raffles[is.ID] = is
		}
	}
	if was.ID != 0 && was.ClosedAt == nil && is.ClosedAt != nil {
		e := happened{raffle: is.ID, kind: readmodel.EventClose, closedAt: *is.ClosedAt}
		if is.ClosingPrice != nil {
			e.price = *is.ClosingPrice
		}
		c.events = append(c.events, e)
	}
	return c, errors.Join(err1, err2)
}

// events returns the events of a raffle after a position.
func (b *branch) events(raffle int64, after lsn.LSN) (events []happened) {
	for _, commit := range b.log {
		if commit.end <= after {
			continue
		}
		for _, change := range commit.changes {
			for _, e := range change.events {
				if e.raffle == raffle {
					events = append(events, e)
				}
			}
		}
	}
	return events
}
