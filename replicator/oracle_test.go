package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// bidDocument is a bid as query answers it.
type bidDocument struct {
	ID        int64  `json:"id"`
	RaffleID  int64  `json:"raffle_id"`
	UserID    int64  `json:"user_id"`
	Size      int16  `json:"size"`
	Price     int64  `json:"price"`
	Quantity  int64  `json:"quantity"`
	CreatedAt string `json:"created_at"`
}

// raffleDocument is the part of a raffle in a list that changes.
type raffleDocument struct {
	ID       int64   `json:"id"`
	EndsAt   string  `json:"ends_at"`
	ClosedAt *string `json:"closed_at"`
}

// tables is the content of the primary at one position.
type tables struct {
	bids    map[int64]bidDocument
	raffles map[int64]raffleDocument
}

// commit is what one transaction did; its end is the position from which on it is seen.
type commit struct {
	end     lsn.LSN
	changes []change
}

// change is what one row's change does to the tables, and the events that it is.
type change struct {
	apply  func(tables)
	events []happened
}

// happened is an event of a raffle: of a bid, or its close.
type happened struct {
	raffle   int64
	kind     readmodel.EventKind
	bid      bidDocument
	closedAt string
	price    int64
}

// oracle knows what the primary held at every position since some moment. It is fed by a slot of its
// own, in text, through test_decoding: nothing of it is shared with what it judges.
type oracle struct {
	db   *pgx.Conn
	slot string
	base tables   // at the position from
	from lsn.LSN  // answers before it can't be judged
	log  []commit // after from
}

// newOracle begins with tables that must not change meanwhile.
func newOracle(ctx context.Context, db *pgx.Conn, slot string) (*oracle, error) {
	o := &oracle{db: db, slot: slot, base: tables{bids: map[int64]bidDocument{}, raffles: map[int64]raffleDocument{}}}
	var at int64
	err := db.QueryRow(ctx, "SELECT lsn - '0/0' FROM pg_create_logical_replication_slot($1, 'test_decoding')", slot).Scan(&at)
	if err != nil {
		return nil, fmt.Errorf("the oracle's slot: %w", err)
	}
	o.from = lsn.LSN(at)
	rows, err := db.Query(ctx, "SELECT id, ends_at, closed_at FROM raffles")
	if err != nil {
		return nil, err
	}
	var r raffleDocument
	var ends time.Time
	var closed *time.Time
	_, err = pgx.ForEachRow(rows, []any{&r.ID, &ends, &closed}, func() error {
		r.EndsAt = document(ends)
		o.base.raffles[r.ID] = r
		if closed != nil {
			return errors.New("the oracle begins with open raffles")
		}
		return nil
	})
	return o, err
}

// pull reads what was committed since the last pull.
func (o *oracle) pull(ctx context.Context) error {
	rows, err := o.db.Query(ctx, "SELECT lsn - '0/0', data FROM pg_logical_slot_get_changes($1, NULL, NULL, 'include-xids', '0')", o.slot)
	if err != nil {
		return err
	}
	var at int64
	var data string
	var open commit
	_, err = pgx.ForEachRow(rows, []any{&at, &data}, func() error {
		switch data {
		case "BEGIN":
			open = commit{}
		case "COMMIT":
			open.end = lsn.LSN(at) // of a commit, the slot gives the end
			if len(open.changes) > 0 {
				o.log = append(o.log, open)
			}
		default:
			change, err := parseChange(data)
			if change.apply != nil {
				open.changes = append(open.changes, change)
			}
			return err
		}
		return nil
	})
	return err
}

// forget makes a later position the oldest that can be judged.
func (o *oracle) forget(until lsn.LSN) {
	for len(o.log) > 0 && o.log[0].end <= until {
		o.log[0].apply(o.base)
		o.log = o.log[1:]
	}
	o.from = max(o.from, until)
}

func (c commit) apply(to tables) {
	for _, change := range c.changes {
		change.apply(to)
	}
}

// check holds each answer against the content at its Read-LSN. All transactions up to there must have
// been pulled.
func (o *oracle) check(answers []answer) error {
	slices.SortStableFunc(answers, func(a, b answer) int { return cmp.Compare(a.at, b.at) })
	now := tables{maps.Clone(o.base.bids), maps.Clone(o.base.raffles)}
	log := o.log
	for _, a := range answers {
		for len(log) > 0 && log[0].end <= a.at {
			log[0].apply(now)
			log = log[1:]
		}
		if a.at < o.from {
			return fmt.Errorf("%s at %s: older than %s", a.look.path, a.at, o.from)
		}
		if err := a.compare(now); err != nil {
			return fmt.Errorf("wrong read: %s at %s: %w", a.look.path, a.at, err)
		}
	}
	return nil
}

// The form of test_decoding: table public.bids: UPDATE: old-key: id[bigint]:1 ... new-tuple: id[bigint]:1 ...
var field = regexp.MustCompile(`(\w+)\[[^\]]+\]:('(?:[^']|'')*'|\S+)`)

// parseChange returns an empty change for other tables and for messages.
func parseChange(line string) (change, error) {
	of, rest, _ := strings.Cut(strings.TrimPrefix(line, "table "), ": ")
	kind, columns, _ := strings.Cut(rest, ": ")
	if kind == "TRUNCATE" && slices.Contains(strings.Split(of, ", "), "public.bids") {
		return change{apply: func(t tables) { clear(t.bids) }}, nil
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
	}
	return change{}, nil
}

func bidChange(old, now row) (c change, err error) {
	was, err1 := old.bid()
	is, err2 := now.bid()
	c.apply = func(t tables) {
		delete(t.bids, was.ID)
		if is.ID != 0 {
			t.bids[is.ID] = is
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
	c.apply = func(t tables) {
		delete(t.raffles, was.ID)
		if is.ID != 0 {
			t.raffles[is.ID] = is
		}
	}
	if was.ID != 0 && was.ClosedAt == nil && is.ClosedAt != nil {
		price := now.number("closing_price", &err2) // no close here is without bids
		c.events = append(c.events, happened{raffle: is.ID, kind: readmodel.EventClose, closedAt: *is.ClosedAt, price: price})
	}
	return c, errors.Join(err1, err2)
}

// row is the columns of a change in text; none if there is no such row.
type row map[string]string

func values(columns string) row {
	r := make(row)
	for _, f := range field.FindAllStringSubmatch(columns, -1) {
		r[f[1]] = strings.Trim(f[2], "'")
	}
	return r
}

func (r row) number(column string, failed *error) int64 {
	n, err := strconv.ParseInt(r[column], 10, 64)
	*failed = errors.Join(*failed, err)
	return n
}

func (r row) instant(column string, failed *error) string {
	t, err := time.Parse("2006-01-02 15:04:05.999999-07", r[column])
	*failed = errors.Join(*failed, err)
	return document(t)
}

func document(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

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
	v = raffleDocument{ID: r.number("id", &err), EndsAt: r.instant("ends_at", &err)}
	if text := r["closed_at"]; text != "" && text != "null" { // old rows leave nulls out
		closed := r.instant("closed_at", &err)
		v.ClosedAt = &closed
	}
	return v, err
}
