package snapshot

import (
	"encoding/binary"
	"hash/crc64"
	"math"
)

// A whole sorted set is written as the serialised value that RESTORE takes. Redis copies a small set as it is and
// inserts the members of a large one at its head, while ZADD would search the place of each member. The form is that of
// RDB version 10, which Redis 7.0 and all later versions read. Sources: redis/src/rdb.h and listpack.c.
const (
	rdbVersion   = 10
	rdbZset      = 5  // length, then each member as a string and its score as a double
	rdbListpack  = 17 // a listpack of members and scores, as a string
	dumpListpack = 128
)

// scored is a member of a sorted set and its score, which is a whole number or infinite.
type scored struct {
	member []byte
	score  int64
}

// The infinite scores, which only readmodel.Sentinel and readmodel.Loading have.
const (
	plusInf  = math.MaxInt64
	minusInf = math.MinInt64
)

func (s scored) float() float64 {
	switch s.score {
	case plusInf:
		return math.Inf(1)
	case minusInf:
		return math.Inf(-1)
	}
	return float64(s.score)
}

// appendDump appends a sorted set whose members are ordered by (score, member). Up to dumpListpack members become a
// listpack. A server whose listpacks hold fewer members converts it.
func appendDump(dst []byte, ordered []scored) []byte {
	begin := len(dst)
	if len(ordered) <= dumpListpack {
		dst = appendListpack(append(dst, rdbListpack), ordered)
	} else {
		dst = appendLength(append(dst, rdbZset), len(ordered))
		for i := len(ordered) - 1; i >= 0; i-- { // the greatest first, so that each belongs at the head
			dst = appendLength(dst, len(ordered[i].member))
			dst = append(dst, ordered[i].member...)
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(ordered[i].float()))
		}
	}
	dst = binary.LittleEndian.AppendUint16(dst, rdbVersion)
	return binary.LittleEndian.AppendUint64(dst, checksum(dst[begin:]))
}

// appendLength appends a length in RDB's form: two bits for its kind, then 6, 14 or 32 bits, big-endian.
func appendLength(dst []byte, n int) []byte {
	switch {
	case n < 1<<6:
		return append(dst, byte(n))
	case n < 1<<14:
		return append(dst, 0x40|byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, 0x80), uint32(n))
}

// appendListpack appends a listpack as an RDB string: its size in bytes, the number of elements, the elements, and an
// end byte. The length of the string is known only at the end, so it takes the form of five bytes, which is allowed.
func appendListpack(dst []byte, ordered []scored) []byte {
	dst = append(dst, 0x80, 0, 0, 0, 0)
	begin := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(2*len(ordered)))
	for _, s := range ordered {
		dst = append(dst, 0x80|byte(len(s.member))) // a string of up to 63 bytes
		dst = append(dst, s.member...)
		dst = append(dst, byte(1+len(s.member)))
		dst = appendListpackScore(dst, s.score)
	}
	dst = append(dst, 0xff)
	size := uint32(len(dst) - begin)
	binary.BigEndian.PutUint32(dst[begin-4:], size)
	binary.LittleEndian.PutUint32(dst[begin:], size)
	return dst
}

func appendListpackScore(dst []byte, score int64) []byte {
	switch score {
	case plusInf:
		return append(dst, 0x83, 'i', 'n', 'f', 4)
	case minusInf:
		return append(dst, 0x84, '-', 'i', 'n', 'f', 5)
	}
	return appendListpackInt(dst, score)
}

// appendListpackInt appends a whole number in the shortest of four forms: 16, 24, 32 or 64 bits, little-endian. The
// length of the element follows.
func appendListpackInt(dst []byte, v int64) []byte {
	begin := len(dst)
	switch {
	case v >= math.MinInt16 && v <= math.MaxInt16:
		dst = binary.LittleEndian.AppendUint16(append(dst, 0xf1), uint16(v))
	case v >= -1<<23 && v < 1<<23:
		dst = append(dst, 0xf2, byte(v), byte(v>>8), byte(v>>16))
	case v >= math.MinInt32 && v <= math.MaxInt32:
		dst = binary.LittleEndian.AppendUint32(append(dst, 0xf3), uint32(v))
	default:
		dst = binary.LittleEndian.AppendUint64(append(dst, 0xf4), uint64(v))
	}
	return append(dst, byte(len(dst)-begin))
}

// jones is the polynomial of Redis' CRC-64, reflected.
var jones = crc64.MakeTable(0x95ac9329ac4bc9b5)

// checksum is the CRC-64 of Redis. Unlike hash/crc64 it starts from zero and inverts nothing.
func checksum(b []byte) uint64 { return ^crc64.Update(math.MaxUint64, jones, b) }
