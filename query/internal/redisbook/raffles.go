package redisbook

import (
	"context"
	"fmt"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// A page of raffles that the catalogue does not hold is read out of the set of all raffles, in pieces. If
// raffleRounds pieces, and as many more as the page needs anyway, are not enough, SQL answers, because it does the
// same work without round trips.
const (
	raffleRounds    = 5
	leastRaffleRead = 512 // from the second round
	mostRaffleRead  = 10_000
)

// Raffles answers from the catalogue as long as the read model holds the same raffles, and otherwise from the sorted
// set.
func (r *Redis) Raffles(ctx context.Context, q bidbook.RafflesQuery, minLSN lsn.Position) (bidbook.RafflePage, bidbook.Position, error) {
	ask := r.client.Request()
	defer ask.Release()
	c, at, err := r.catalogue(ctx, ask, minLSN)
	if err != nil {
		return bidbook.RafflePage{}, at, err
	}
	if c != nil {
		if page, whole := c.page(q, r.Clock.Now().UnixMicro()); whole {
			return page, at, nil
		}
	}
	page, _, at, err := r.readRaffles(ctx, ask, q, minLSN)
	return page, at, err
}

// readRaffles reads the sorted set of all raffles until the page is full. It returns the version that all pieces
// have, or "" if the version changed among them.
func (r *Redis) readRaffles(ctx context.Context, ask *request, q bidbook.RafflesQuery, minLSN lsn.Position) (page bidbook.RafflePage, version string, at bidbook.Position, err error) {
	after, n := q.After, min(q.Limit+1, mostRaffleRead)
	write := func(e readmodel.Epoch) {
		// The raffles may change between the commands, so the version counts only if it is the same before and after.
		ask.Add("GET", e.RafflesVersion())
		writePage(ask, e.Raffles(), backwards, after, n)
		ask.Add("GET", e.RafflesVersion())
	}
	list := raffleList{status: q.Status, now: r.Clock.Now().UnixMicro()}
	p, err := r.ask(ctx, ask, minLSN, write)
	for round := 1; err == nil; round++ {
		if after, err = list.add(ask, p, after, n); err != nil {
			break
		}
		if len(list.found) > q.Limit || after == nil {
			raffles, more := bidbook.Cut(list.found, q.Limit)
			return bidbook.RafflePage{Raffles: raffles, More: more}, list.version, p.at, nil
		}
		if round == raffleRounds+q.Limit/mostRaffleRead {
			err = fmt.Errorf("%w: too few raffles are %s", bidbook.ErrIncomplete, q.Status)
			break
		}
		n = min(max(4*n, leastRaffleRead), mostRaffleRead)
		err = r.again(ctx, ask, p, write)
	}
	return bidbook.RafflePage{}, "", p.at, err
}

// version identifies the raffles that the read model holds, across epochs and databases. It is "" if their version is
// missing.
func (p *snapshot) version(value []byte) string {
	if value == nil {
		return ""
	}
	return strconv.FormatUint(uint64(p.checkpoint.Epoch), 10) + " " + p.checkpoint.Token + " " + string(value)
}

// raffleList collects raffles of a status at the time now.
type raffleList struct {
	status  bidbook.Status
	found   []readmodel.Raffle
	now     int64
	version string
	rounds  int
}

// add appends the raffles of a reply that was asked for after a keyset. It returns where the next read continues, or
// nil if there are no more raffles.
func (l *raffleList) add(ask *request, p *snapshot, after *bidbook.Keyset, asked int) (*bidbook.Keyset, error) {
	before := p.version(ask.Replies.Bytes())
	n, whole := readPage(&ask.Replies, after)
	if ask.Replies.Err() == nil && !whole {
		return nil, fmt.Errorf("%w: no raffles", bidbook.ErrIncomplete)
	}
	var raffle readmodel.Raffle
	for range n {
		var err error
		if raffle, err = readmodel.ParseRaffle(ask.Replies.Bytes()); err != nil {
			return nil, err
		}
		if l.status.Matches(raffle, l.now) {
			l.found = append(l.found, raffle)
		}
	}
	if l.rounds++; l.rounds == 1 {
		l.version = before
	}
	if after := p.version(ask.Replies.Bytes()); after != before || after != l.version {
		l.version = ""
	}
	if n < asked {
		return nil, ask.Replies.Err()
	}
	return &bidbook.Keyset{At: raffle.EndsAt, ID: raffle.ID}, ask.Replies.Err()
}
