package readmodel

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// EventKind is what happened to a raffle.
type EventKind byte

// The kinds of live events.
const (
	EventBid    EventKind = 'b' // a bid was accepted
	EventCancel EventKind = 'c' // a bid was cancelled
	EventClose  EventKind = 'x' // the raffle was closed
	EventReset  EventKind = 'r' // something happened that has no packing; followers must read the raffle again
)

// Known says whether this build knows the kind. The packing of any other kind begins with its length, so that an
// older reader can skip what a newer replicator writes.
func (k EventKind) Known() bool {
	return k == EventBid || k == EventCancel || k == EventClose || k == EventReset
}

// Event is one thing that happened to a raffle. Bid is set for EventBid and EventCancel (the cancelled
// bid as it was); ClosedAt (microseconds since the Unix epoch) and ClosingPrice (KRW, 0: no bids) for
// EventClose; Packed for a kind that is not known.
type Event struct {
	ID           EventID
	Kind         EventKind
	Bid          Bid
	ClosedAt     int64
	ClosingPrice int32
	Packed       string
}

// EventID orders the events of one raffle within one epoch. LSN is that of the commit record, as the stream's Begin
// message has it. N numbers the events of the same transaction and raffle, from 1. It is also the form of an id in a
// Redis stream.
type EventID struct {
	LSN lsn.LSN
	N   uint64
}

// String is LSN-N in decimal, as Redis spells the id of a stream's entry.
func (i EventID) String() string {
	return strconv.FormatUint(uint64(i.LSN), 10) + "-" + strconv.FormatUint(i.N, 10)
}

// ParseEventID reads what String wrote; anything else is ErrCorrupt.
func ParseEventID(s string) (EventID, error) {
	position, n, _ := strings.Cut(s, "-")
	a, err1 := strconv.ParseUint(position, 10, 64)
	b, err2 := strconv.ParseUint(n, 10, 64)
	id := EventID{lsn.LSN(a), b}
	if err1 != nil || err2 != nil || id.String() != s {
		return EventID{}, fmt.Errorf("event id %q: %w", s, ErrCorrupt)
	}
	return id, nil
}

// After says whether i comes after o.
func (i EventID) After(o EventID) bool {
	return i.LSN > o.LSN || i.LSN == o.LSN && i.N > o.N
}

// LiveField is the only field of an entry in a raffle's stream: packed events, one after the other. The
// id of the entry is the id of the last of them, so all events after an id X are in the entries after X,
// and Redis refuses an entry that the stream has already, because its id is not newer than the last one.
const LiveField = "e"

// LiveEntries is the least number of entries that a raffle's stream keeps. Older entries are trimmed.
const LiveEntries = 1000

// AppendEvent packs an event without its raffle, which is in the key, and its id, which follows from the entry's id.
func (e Event) AppendEvent(dst []byte) []byte {
	dst = append(dst, byte(e.Kind))
	if !e.Kind.Known() {
		return append(binary.AppendUvarint(dst, uint64(len(e.Packed))), e.Packed...)
	}
	switch e.Kind {
	case EventReset:
		return dst
	case EventClose:
		dst = binary.AppendUvarint(dst, uint64(e.ClosedAt))
		return binary.AppendUvarint(dst, uint64(e.ClosingPrice))
	}
	dst = binary.AppendUvarint(dst, uint64(e.Bid.Size))
	return e.Bid.AppendMember(dst)
}

// ParseEvents reads an entry of a raffle's stream, which must hold at least one event and not more than
// its id counts; anything else is ErrCorrupt.
func ParseEvents(raffleID int64, entry EventID, packed []byte) ([]Event, error) {
	r := reader{rest: packed}
	var events []Event
	for len(r.rest) > 0 && !r.bad {
		e := Event{Kind: EventKind(r.take(1)[0])}
		switch e.Kind {
		case EventBid, EventCancel:
			e.Bid = Bid{
				RaffleID: raffleID, Size: int16(r.uvarint(math.MaxInt16)),
				CreatedAt: r.int64(), ID: r.int64(),
				UserID: r.uvarint(math.MaxInt64), Price: int32(r.uvarint(math.MaxInt32)), Quantity: int32(r.uvarint(math.MaxInt32)),
			}
		case EventClose:
			e.ClosedAt, e.ClosingPrice = r.uvarint(math.MaxInt64), int32(r.uvarint(math.MaxInt32))
		case EventReset:
		default:
			e.Packed = r.string()
		}
		events = append(events, e)
	}
	if r.bad || len(events) == 0 || uint64(len(events)) > entry.N {
		return nil, fmt.Errorf("live entry %s of raffle %d: %w", entry, raffleID, ErrCorrupt)
	}
	for i := range events {
		events[i].ID = EventID{entry.LSN, entry.N - uint64(len(events)-1-i)}
	}
	return events, nil
}
