package bidbook

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// A page of raffles of one status is filtered out of the set of all. Beyond this many rounds SQL, which
// has the same work but no round trips, answers.
const (
	raffleRounds    = 5
	leastRaffleRead = 512 // from the second round
)

// Raffles reads the sorted set of all raffles until the page is full, or only its version if that is all
// that is asked.
func (r *Redis) Raffles(ctx context.Context, q RafflesQuery, least lsn.Position) (RafflePage, Position, error) {
	ask := r.client.Request()
	defer ask.Release()
	if q.Known != nil {
		return r.stillKnown(ctx, ask, *q.Known, least)
	}
	after, n := q.After, q.Limit+1
	write := func(e readmodel.Epoch) {
		// A change may come between the commands: the version counts if it is the same before and after.
		ask.Command("GET", e.RafflesVersion())
		writePage(ask, e.Raffles(), backwards, after, n)
		ask.Command("GET", e.RafflesVersion())
	}
	list := raffleList{status: q.Status, found: make([]readmodel.Raffle, 0, n), now: time.Now().UnixMicro()}
	list.validity.Until = math.MaxInt64
	p, err := r.ask(ctx, ask, least, write)
	for round := 1; err == nil; round++ {
		if after, err = list.add(ask, p, after, n); err != nil {
			break
		}
		if len(list.found) > q.Limit || after == nil {
			raffles, more := cut(list.found, q.Limit)
			return RafflePage{Raffles: raffles, More: more, Validity: list.validity}, p.at, nil
		}
		if round == raffleRounds {
			err = fmt.Errorf("%w: too few raffles are %s", ErrIncomplete, q.Status)
			break
		}
		n = max(4*n, leastRaffleRead)
		err = r.again(ctx, ask, p, write)
	}
	return RafflePage{}, p.at, err
}

func (r *Redis) stillKnown(ctx context.Context, ask *request, known Validity, least lsn.Position) (RafflePage, Position, error) {
	p, err := r.ask(ctx, ask, least, func(e readmodel.Epoch) { ask.Command("GET", e.RafflesVersion()) })
	if err != nil {
		return RafflePage{}, p.at, err
	}
	page := RafflePage{Answer: Changed}
	if version := p.version(ask.Bytes()); version == known.Version && time.Now().UnixMicro() < known.Until {
		page = RafflePage{Answer: Unchanged, Validity: known}
	}
	return page, p.at, ask.Err()
}

// version names what the read model holds of raffles, also among epochs and databases; empty: unknown.
func (p *proof) version(value []byte) string {
	if value == nil {
		return ""
	}
	return strconv.FormatUint(uint64(p.checkpoint.Epoch), 10) + " " + p.checkpoint.Token + " " + string(value)
}

// raffleList collects raffles of a status at the time now, and how long the list holds.
type raffleList struct {
	status   Status
	found    []readmodel.Raffle
	now      int64
	validity Validity
	rounds   int
}

// add appends the raffles of a read after a keyset, and returns where the next read continues, or nil if
// that was all.
func (l *raffleList) add(ask *request, p *proof, after *Keyset, asked int) (*Keyset, error) {
	before := p.version(ask.Bytes())
	n, whole := readPage(&ask.Replies, after)
	if ask.Err() == nil && !whole {
		return nil, fmt.Errorf("%w: no raffles", ErrIncomplete)
	}
	var raffle readmodel.Raffle
	for range n {
		var err error
		if raffle, err = readmodel.ParseRaffle(ask.Bytes()); err != nil {
			return nil, err
		}
		if l.status.matches(raffle, l.now) {
			l.found = append(l.found, raffle)
		} else if l.status == Open && raffle.ClosedAt == 0 {
			l.validity.Until = min(l.validity.Until, raffle.StartsAt)
		}
	}
	if l.rounds++; l.rounds == 1 {
		l.validity.Version = before
	}
	if after := p.version(ask.Bytes()); after != before || after != l.validity.Version {
		l.validity.Version = ""
	}
	if n < asked {
		return nil, ask.Err()
	}
	return &Keyset{At: raffle.EndsAt, ID: raffle.ID}, ask.Err()
}

// matches is the WHERE of the SQL paths, at the time now (microseconds).
func (s Status) matches(r readmodel.Raffle, now int64) bool {
	switch s {
	case Open:
		return r.ClosedAt == 0 && r.StartsAt <= now
	case Closed:
		return r.ClosedAt != 0
	}
	return true
}
