package live

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// ErrPosition is returned for a text that is no event id of this feed.
var ErrPosition = errors.New("not an event id of this feed")

// Position is a place in a raffle's feed, behind an event of one epoch. With N = 0 it is behind everything that was
// committed before the LSN. The zero Position is no place.
type Position struct {
	Epoch readmodel.Epoch
	Event readmodel.EventID
}

// String is the event id that clients see and send back: epoch.LSN-N, in decimal.
func (p Position) String() string { return string(p.append(nil)) }

func (p Position) append(dst []byte) []byte {
	dst = append(strconv.AppendUint(dst, uint64(p.Epoch), 10), '.')
	dst = append(strconv.AppendUint(dst, uint64(p.Event.LSN), 10), '-')
	return strconv.AppendUint(dst, p.Event.N, 10)
}

// ParsePosition reads what String wrote; anything else is ErrPosition.
func ParsePosition(s string) (Position, error) {
	epoch, event, _ := strings.Cut(s, ".")
	e, err1 := strconv.ParseUint(epoch, 10, 64)
	id, err2 := readmodel.ParseEventID(event)
	p := Position{readmodel.Epoch(e), id}
	if err1 != nil || err2 != nil || p.String() != s {
		return Position{}, fmt.Errorf("%w: %.80q", ErrPosition, s)
	}
	return p, nil
}

// after says whether p lies behind o. A position of another epoch always does.
func (p Position) after(o Position) bool { return p.Epoch != o.Epoch || p.Event.After(o.Event) }

// minLSN is the Min-LSN of a read that holds everything up to the position, on a timeline that has the position. An
// event's LSN is where its commit record begins, so a read holds the commit only if it is beyond that LSN.
func (p Position) minLSN(timeline uint32) lsn.Position {
	at := lsn.Position{Timeline: timeline, LSN: p.Event.LSN}
	if p.Event.N > 0 {
		at.LSN++
	}
	return at
}
