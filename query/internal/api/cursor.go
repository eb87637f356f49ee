package api

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// cursor says where a list continues. It names the list (kind is an Order, a Status, kindSize or kindUser; raffle is
// the user for kindUser; raffle and size are 0 for raffles), the last row, and the position of the first page, which
// every later page must have reached too (R4).
type cursor struct {
	kind   byte
	raffle int64
	size   int16
	after  bidbook.Keyset
	first  lsn.Position
}

const (
	cursorVersion = 2
	cursorLen     = 1 + 1 + 8 + 2 + 4 + 8 + 8 + 8 + 4

	// Version 1 ends before the timeline.
	oldVersion = 1
	oldLen     = cursorLen - 4
)

var cursorText = base64.RawURLEncoding.Strict()

// append appends the cursor's text: base64url of the version and the fields, big-endian.
func (c cursor) append(dst []byte) []byte {
	var raw [cursorLen]byte
	b := append(raw[:0], cursorVersion, c.kind)
	b = binary.BigEndian.AppendUint64(b, uint64(c.raffle))
	b = binary.BigEndian.AppendUint16(b, uint16(c.size))
	b = binary.BigEndian.AppendUint32(b, uint32(c.after.Price))
	b = binary.BigEndian.AppendUint64(b, uint64(c.after.At))
	b = binary.BigEndian.AppendUint64(b, uint64(c.after.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(c.first.LSN))
	b = binary.BigEndian.AppendUint32(b, c.first.Timeline)
	return cursorText.AppendEncode(dst, b)
}

// parseCursor reads what append wrote, also in version 1; anything else is errBadCursor.
func parseCursor(s string) (cursor, error) {
	version, length := byte(cursorVersion), cursorLen
	if len(s) == cursorText.EncodedLen(oldLen) {
		version, length = oldVersion, oldLen
	}
	if len(s) != cursorText.EncodedLen(length) {
		return cursor{}, errBadCursor
	}
	b, err := cursorText.DecodeString(s)
	if err != nil || len(b) != length || b[0] != version {
		return cursor{}, errBadCursor // DecodeString skips line breaks, hence the second length
	}
	c := cursor{
		kind:   b[1],
		raffle: int64(binary.BigEndian.Uint64(b[2:])),
		size:   int16(binary.BigEndian.Uint16(b[10:])),
		after: bidbook.Keyset{
			Price: int32(binary.BigEndian.Uint32(b[12:])),
			At:    int64(binary.BigEndian.Uint64(b[16:])),
			ID:    int64(binary.BigEndian.Uint64(b[24:])),
		},
		first: lsn.Position{LSN: lsn.LSN(binary.BigEndian.Uint64(b[32:]))},
	}
	if version == cursorVersion {
		c.first.Timeline = binary.BigEndian.Uint32(b[40:])
	}
	if c.after.At < 0 || c.after.ID < 1 || c.after.Price < 0 || (c.after.Price > 0) != (c.kind == byte(bidbook.Highest)) {
		return cursor{}, errBadCursor
	}
	return c, nil
}

// continues says whether the cursor belongs to the same list.
func (c cursor) continues(list cursor) bool {
	return c.kind == list.kind && c.raffle == list.raffle && c.size == list.size
}
