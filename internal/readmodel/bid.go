// Package readmodel defines how the read model is stored in Redis: the keys, the packing of bids, raffles and
// products, and the checkpoint. No other package knows it. The replicator writes it, query reads it.
package readmodel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrCorrupt is returned for a stored value that this package can't have written.
var ErrCorrupt = errors.New("corrupt read-model value")

// Bid is an accepted bid. CreatedAt is in microseconds since the Unix epoch, Price in KRW, Size in mm.
type Bid struct {
	RaffleID  int64
	ID        int64
	UserID    int64
	CreatedAt int64
	Price     int32
	Quantity  int32
	Size      int16
}

// PrefixLen is the length of the part of a member that orders it: big-endian created_at, then id.
const PrefixLen = 16

// AppendMember appends the bid as a sorted-set member. It begins with big-endian (created_at, id), so
// that Redis, which orders equal scores by the bytes of the member, orders bids as SQL does; then
// follow user, price and quantity as unsigned varints. Raffle and size are in the key.
// About 24 bytes. Negative numbers have no packing.
func (b Bid) AppendMember(dst []byte) []byte {
	dst = AppendPrefix(dst, b.CreatedAt, b.ID)
	dst = binary.AppendUvarint(dst, uint64(b.UserID))
	dst = binary.AppendUvarint(dst, uint64(b.Price))
	return binary.AppendUvarint(dst, uint64(b.Quantity))
}

// AppendPrefix appends the ordering part of a member: 16 bytes.
func AppendPrefix(dst []byte, at, id int64) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(at))
	return binary.BigEndian.AppendUint64(dst, uint64(id))
}

// ParseMember reads what AppendMember wrote, even with further fields at the end; anything else is ErrCorrupt.
func ParseMember(raffleID int64, size int16, member []byte) (Bid, error) {
	r := reader{rest: member}
	b := Bid{
		RaffleID: raffleID, Size: size,
		CreatedAt: r.int64(), ID: r.int64(),
		UserID: r.uvarint(math.MaxInt64), Price: int32(r.uvarint(math.MaxInt32)), Quantity: int32(r.uvarint(math.MaxInt32)),
	}
	if err := r.end(); err != nil {
		return Bid{}, fmt.Errorf("bid member of raffle %d size %d: %w", raffleID, size, err)
	}
	return b, nil
}

// AppendSizeMember appends the bid as a member of a set over all raffles: AppendMember with the raffle as
// an unsigned varint behind the prefix. The size is in the key.
func (b Bid) AppendSizeMember(dst []byte) []byte {
	dst = AppendPrefix(dst, b.CreatedAt, b.ID)
	dst = binary.AppendUvarint(dst, uint64(b.RaffleID))
	dst = binary.AppendUvarint(dst, uint64(b.UserID))
	dst = binary.AppendUvarint(dst, uint64(b.Price))
	return binary.AppendUvarint(dst, uint64(b.Quantity))
}

// ParseSizeMember reads what AppendSizeMember wrote, even with further fields at the end; anything else is ErrCorrupt.
func ParseSizeMember(size int16, member []byte) (Bid, error) {
	r := reader{rest: member}
	b := Bid{
		Size: size, CreatedAt: r.int64(), ID: r.int64(), RaffleID: r.uvarint(math.MaxInt64),
		UserID: r.uvarint(math.MaxInt64), Price: int32(r.uvarint(math.MaxInt32)), Quantity: int32(r.uvarint(math.MaxInt32)),
	}
	if err := r.end(); err != nil {
		return Bid{}, fmt.Errorf("bid member of size %d: %w", size, err)
	}
	return b, nil
}

// NewestScore orders the set of newest bids: created_at in microseconds, exact in a double until the
// year 2255. Read with ZRANGE REV.
func (b Bid) NewestScore() float64 { return float64(b.CreatedAt) }

// HighestScore orders the set of highest bids: the negative price, so that ascending order gives the
// highest price first and the earliest bid among equals.
func (b Bid) HighestScore() float64 { return -float64(b.Price) }

// reader takes fields off a packed value and remembers in bad whether a field was malformed. The fields that a later
// release adds at the end stay unread.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// int64 reads a big-endian number that is not negative.
func (r *reader) int64() int64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	v := binary.BigEndian.Uint64(b)
	r.bad = r.bad || v > math.MaxInt64
	return int64(v)
}

// uvarint reads a number up to limit. Only the shortest form is accepted, so that a value has one packing.
func (r *reader) uvarint(limit uint64) int64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad || n <= 0 || v > limit || (n > 1 && r.rest[n-1] == 0) {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return int64(v)
}

func (r *reader) string() string { return string(r.take(uint64(r.uvarint(math.MaxInt32)))) }

func (r *reader) end() error {
	if r.bad {
		return ErrCorrupt
	}
	return nil
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
