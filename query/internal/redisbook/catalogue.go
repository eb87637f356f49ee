package redisbook

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// catalogue is all raffles of the read model at one version. A raffle that is not in it does not exist at that version.
type catalogue struct {
	edition
	ids  []int64 // ascending
	more bool    // there are raffles that it lacks
	all  listing

	mu    sync.Mutex
	lists map[bidbook.Status]listing
}

// listing is the raffles of a status. It is right until the next raffle opens, at until (microseconds since the Unix
// epoch).
type listing struct {
	*bidbook.Listing
	until int64
}

// mostKept is how many raffles a catalogue holds, some 80 bytes each.
const mostKept = 50_000

func newCatalogue(page bidbook.RafflePage, at bidbook.Position, version string) *catalogue {
	c := &catalogue{edition: edition{version, at}, more: page.More, lists: map[bidbook.Status]listing{},
		all: listing{&bidbook.Listing{Raffles: page.Raffles, At: at.At}, math.MaxInt64}}
	for i := range page.Raffles {
		c.ids = append(c.ids, page.Raffles[i].ID)
	}
	slices.Sort(c.ids)
	return c
}

func (c *catalogue) has(id int64) bool {
	_, found := slices.BinarySearch(c.ids, id)
	return found
}

// listing is the raffles of a status at the time now (microseconds).
func (c *catalogue) listing(s bidbook.Status, now int64) *bidbook.Listing {
	if s == bidbook.All {
		return c.all.Listing
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, kept := c.lists[s]; kept && now < l.until {
		return l.Listing
	}
	l := listing{&bidbook.Listing{At: c.at.At}, math.MaxInt64}
	for i := range c.all.Raffles {
		r := &c.all.Raffles[i]
		if s.Matches(*r, now) {
			l.Raffles = append(l.Raffles, *r)
		} else if s == bidbook.Open && r.ClosedAt == 0 {
			l.until = min(l.until, r.StartsAt)
		}
	}
	c.lists[s] = l
	return l.Listing
}

// page returns a page of raffles, or false if the page reaches beyond the raffles that the catalogue holds.
func (c *catalogue) page(q bidbook.RafflesQuery, now int64) (bidbook.RafflePage, bool) {
	l := c.listing(q.Status, now)
	first := behind(l, q.After)
	end := min(first+q.Limit, len(l.Raffles))
	if c.more && end == len(l.Raffles) {
		return bidbook.RafflePage{}, false
	}
	return bidbook.RafflePage{Raffles: l.Raffles[first:end:end], More: end < len(l.Raffles), Listing: l, First: first}, true
}

// behind is the index of the first raffle after a keyset.
func behind(l *bidbook.Listing, k *bidbook.Keyset) int {
	if k == nil {
		return 0
	}
	return sort.Search(len(l.Raffles), func(i int) bool {
		r := &l.Raffles[i]
		return r.EndsAt < k.At || r.EndsAt == k.At && r.ID < k.ID
	})
}

// catalogue returns a catalogue that holds at the position returned with it, which has reached minLSN. It returns nil
// if there is none now.
func (r *Redis) catalogue(ctx context.Context, ask *request, minLSN lsn.Position) (*catalogue, bidbook.Position, error) {
	p, err := r.ask(ctx, ask, minLSN, func(e readmodel.Epoch) {
		ask.Add("GET", e.RafflesVersion())
		ask.Add("ZRANGE", e.Raffles(), "0", "0", "REV")
	})
	if err != nil {
		return nil, p.at, err
	}
	version := p.version(ask.Replies.Bytes())
	whole := ask.Replies.Len() == 1 && isSentinel(&ask.Replies)
	switch {
	case ask.Replies.Err() != nil:
		return nil, p.at, ask.Replies.Err()
	case !whole:
		return nil, p.at, fmt.Errorf("%w: no raffles", bidbook.ErrIncomplete)
	}
	c, at, err := r.raffles.at(ctx, r, version, p.at)
	if err != nil || c == nil {
		return nil, at, err
	}
	return *c, at, nil
}

func (r *Redis) readCatalogue(ctx context.Context) (*catalogue, error) {
	ask := r.client.Request()
	defer ask.Release()
	page, version, at, err := r.readRaffles(ctx, ask, bidbook.RafflesQuery{Status: bidbook.All, Limit: mostKept}, lsn.Position{})
	if err != nil {
		return nil, err
	}
	return newCatalogue(page, at, version), nil
}

// missing returns the error for a raffle of which the read model has no keys. It is ErrNotFound if a catalogue of all
// raffles lacks the raffle, too. Otherwise it is ErrUndecided, because the keys may be lost or being reloaded.
func (r *Redis) missing(ctx context.Context, id int64, minLSN lsn.Position) (bidbook.Position, error) {
	ask := r.client.Request()
	defer ask.Release()
	c, at, err := r.catalogue(ctx, ask, minLSN)
	switch {
	case err != nil:
		return at, err
	case c != nil && !c.more && !c.has(id):
		return at, bidbook.ErrNotFound
	}
	return at, fmt.Errorf("%w: raffle %d", bidbook.ErrUndecided, id)
}

// Entry reads the raffle's entry, and whether the set of its sizes has the member RaffleKnown.
func (r *Redis) Entry(ctx context.Context, id int64, minLSN lsn.Position) (readmodel.Raffle, bidbook.Position, error) {
	ask := r.client.Request()
	defer ask.Release()
	p, err := r.ask(ctx, ask, minLSN, func(e readmodel.Epoch) { writeEntry(ask, e, id) })
	if err != nil {
		return readmodel.Raffle{}, p.at, err
	}
	raffle, known, err := readEntry(ask)
	if err == nil && !known {
		at, err := r.missing(ctx, id, minLSN)
		return readmodel.Raffle{}, at, err
	}
	return raffle, p.at, err
}

func writeEntry(ask *request, e readmodel.Epoch, id int64) {
	ask.Add("GET", e.Raffle(id))
	ask.Add("SISMEMBER", e.Sizes(id), readmodel.RaffleKnown)
}

// readEntry returns a raffle. It is known only if all its keys are whole.
func readEntry(ask *request) (raffle readmodel.Raffle, known bool, err error) {
	entry := ask.Replies.Bytes()
	known = ask.Replies.Int() == 1 && entry != nil
	if err := ask.Replies.Err(); err != nil || !known {
		return raffle, false, err
	}
	raffle, err = readmodel.ParseRaffle(entry)
	return raffle, true, err
}
