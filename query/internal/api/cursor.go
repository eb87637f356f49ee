package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// cursor says where a list continues. It names the list (kind is an Order, a Status, kindSize, kindUser or
// kindProducts; raffle is the user for kindUser; raffle and size are 0 for raffles and products; filter is a hash of what
// the list is filtered by, 0 if nothing is), the last row, and the position of the first page, which every later page
// must have reached too (R4).
type cursor struct {
	kind   byte
	raffle int64
	size   int16
	after  bidbook.Keyset
	first  lsn.Position
	filter uint64
}

// Version 1 ends before the timeline, which is no longer written. Version 3 has a filter at its end.
const (
	cursorVersion   = 2
	cursorLen       = 1 + 1 + 8 + 2 + 4 + 8 + 8 + 8 + 4
	oldVersion      = 1
	oldLen          = cursorLen - 4
	filteredVersion = 3
	filteredLen     = cursorLen + 8
)

var cursorText = base64.RawURLEncoding.Strict()

// append appends the cursor's text: base64url of the version and the fields, big-endian.
func (c cursor) append(dst []byte) []byte {
	var raw [filteredLen]byte
	b := append(raw[:0], cursorVersion, c.kind)
	if c.filter != 0 {
		b[0] = filteredVersion
	}
	b = binary.BigEndian.AppendUint64(b, uint64(c.raffle))
	b = binary.BigEndian.AppendUint16(b, uint16(c.size))
	b = binary.BigEndian.AppendUint32(b, uint32(c.after.Price))
	b = binary.BigEndian.AppendUint64(b, uint64(c.after.At))
	b = binary.BigEndian.AppendUint64(b, uint64(c.after.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(c.first.LSN))
	b = binary.BigEndian.AppendUint32(b, c.first.Timeline)
	if c.filter != 0 {
		b = binary.BigEndian.AppendUint64(b, c.filter)
	}
	return cursorText.AppendEncode(dst, b)
}

// parseCursor reads what append wrote, also in version 1; anything else is errBadCursor.
func parseCursor(s string) (cursor, error) {
	version, length := byte(cursorVersion), cursorLen
	switch len(s) {
	case cursorText.EncodedLen(oldLen):
		version, length = oldVersion, oldLen
	case cursorText.EncodedLen(filteredLen):
		version, length = filteredVersion, filteredLen
	case cursorText.EncodedLen(cursorLen):
	default:
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
	if version != oldVersion {
		c.first.Timeline = binary.BigEndian.Uint32(b[40:])
	}
	if version == filteredVersion {
		if c.filter = binary.BigEndian.Uint64(b[44:]); c.filter == 0 {
			return cursor{}, errBadCursor
		}
	}
	if c.after.At < 0 || c.after.ID < 1 || c.after.Price < 0 || (c.after.Price > 0) != (c.kind == byte(bidbook.Highest)) {
		return cursor{}, errBadCursor
	}
	return c, nil
}

// continues says whether the cursor belongs to the same list.
func (c cursor) continues(list cursor) bool {
	return c.kind == list.kind && c.raffle == list.raffle && c.size == list.size && c.filter == list.filter
}

// filterOf is the hash of what a list is filtered by. It is 0 if all values are empty.
func filterOf(values ...string) uint64 {
	if strings.Join(values, "") == "" {
		return 0
	}
	var b []byte
	for _, v := range values {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
	}
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:]) | 1
}
