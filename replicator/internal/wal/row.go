package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unsafe"
)

var (
	// ErrShape is returned if a table or a column does not fit the read model. Nothing is applied after that until the
	// schema is corrected.
	ErrShape = errors.New("the table does not fit the read model")
	// ErrValue is returned if a value of one row does not fit the read model.
	ErrValue = errors.New("the value does not fit the read model")
)

const (
	null         = 'n'
	unchanged    = 'u'
	text         = 't'
	binaryFormat = 'b'
)

type column struct {
	format byte
	data   []byte
}

// Class is the use of a column. Several types can serve one class.
type Class int

// The classes of the columns that the read model is made of.
const (
	Integer Class = iota
	Instant
	Date
	Text
)

// types are the OIDs in pg_type that Row can read, by class.
var types = map[Class][]uint32{
	Integer: {20, 21, 23},
	Instant: {1184},
	Date:    {1082},
	Text:    {25, 1042, 1043},
}

// Index finds a column by name, because columns may be added and dropped. If the column is missing or of another type
// it returns an ErrShape.
func (r *Relation) Index(name string, class Class) (int, error) {
	for i, c := range r.Columns {
		if c.Name != name {
			continue
		}
		for _, oid := range types[class] {
			if c.OID == oid {
				return i, nil
			}
		}
		return 0, fmt.Errorf("%w: column %s of %s has type %d", ErrShape, name, r.Name, c.OID)
	}
	return 0, fmt.Errorf("%w: %s has no column %s", ErrShape, r.Name, name)
}

// Row is one row. Its getters take the index of a column. If a value does not fit, the getter returns zero and Err
// returns the error.
type Row struct {
	relation *Relation
	columns  []column
	err      error
}

// CopyRow makes reuse the row of the fields of a binary COPY. A nil field is null.
func CopyRow(relation *Relation, fields [][]byte, reuse *Row) {
	reuse.relation, reuse.columns, reuse.err = relation, reuse.columns[:0], nil
	for _, f := range fields {
		c := column{format: binaryFormat, data: f}
		if f == nil {
			c.format = null
		}
		reuse.columns = append(reuse.columns, c)
	}
}

// Present says whether the message had this row at all.
func (r *Row) Present() bool { return r.relation != nil }

// Err is the first error of the getters; an ErrShape comes before any ErrValue.
func (r *Row) Err() error { return r.err }

// Null says whether a column is null.
func (r *Row) Null(i int) bool { return i < len(r.columns) && r.columns[i].format == null }

// Int64 is the value of an Integer column.
func (r *Row) Int64(i int) int64 { return r.integer(i, math.MaxInt64) }

// Int32 is the value of an Integer column.
func (r *Row) Int32(i int) int32 { return int32(r.integer(i, math.MaxInt32)) }

// Int16 is the value of an Integer column.
func (r *Row) Int16(i int) int16 { return int16(r.integer(i, math.MaxInt16)) }

// integer refuses negative numbers too, because the read model has no packing for them.
func (r *Row) integer(i int, limit int64) int64 {
	format, data := r.value(i)
	v, ok := int64(0), format != 0
	switch {
	case format == text:
		var err error
		v, err = strconv.ParseInt(view(data), 10, 64)
		ok = err == nil
	case len(data) == 8:
		v = int64(binary.BigEndian.Uint64(data))
	case len(data) == 4:
		v = int64(int32(binary.BigEndian.Uint32(data)))
	case len(data) == 2:
		v = int64(int16(binary.BigEndian.Uint16(data)))
	default:
		ok = false
	}
	if !ok || v < 0 || v > limit {
		r.fail(i, ErrValue, "is no integer from 0 to its limit")
		return 0
	}
	return v
}

const (
	epochMicros = 946_684_800_000_000 // 2000-01-01, where PostgreSQL's time begins
	epochDays   = 10_957
)

// lastMicros is the last microsecond of the year 9999, counted from 1970. Later years have no RFC 3339 form.
const lastMicros = 253_402_300_799_999_999

// Micros is the value of an Instant column in microseconds since 1970, up to the year 9999.
func (r *Row) Micros(i int) int64 {
	format, data := r.value(i)
	if format == binaryFormat && len(data) == 8 {
		at := int64(binary.BigEndian.Uint64(data))
		if at >= -epochMicros && at <= lastMicros-epochMicros {
			return at + epochMicros
		}
	} else if format == text {
		for _, layout := range []string{"2006-01-02 15:04:05.999999-07", "2006-01-02 15:04:05.999999-07:00"} {
			if t, err := time.Parse(layout, view(data)); err == nil && t.Unix() >= 0 {
				return t.UnixMicro()
			}
		}
	}
	r.fail(i, ErrValue, "is no time from 1970 to 9999")
	return 0
}

// Date is the value of a Date column as YYYY-MM-DD, from 1970 to 9999.
func (r *Row) Date(i int) string {
	format, data := r.value(i)
	var day time.Time
	if format == text {
		day, _ = time.Parse(time.DateOnly, view(data)) // year 1 if the text is no date
	} else if len(data) == 4 {
		day = time.Unix((int64(int32(binary.BigEndian.Uint32(data)))+epochDays)*86_400, 0).UTC()
	}
	if day.Year() < 1970 || day.Year() > 9999 {
		r.fail(i, ErrValue, "is no date from 1970 to 9999")
		return ""
	}
	return day.Format(time.DateOnly)
}

// Refuse notes an ErrValue for a column whose value has a packing but no meaning.
func (r *Row) Refuse(i int, what string) { r.fail(i, ErrValue, what) }

// Text is the value of a Text column. The bytes are the same in both formats.
func (r *Row) Text(i int) string {
	_, data := r.value(i)
	return string(data)
}

func (r *Row) value(i int) (format byte, data []byte) {
	if i >= len(r.columns) {
		r.fail(i, ErrShape, "is missing")
		return 0, nil
	}
	c := r.columns[i]
	switch c.format {
	case null:
		r.fail(i, ErrValue, "is null")
		return 0, nil
	case unchanged:
		r.fail(i, ErrShape, "is TOASTed and not in the old row: REPLICA IDENTITY is not FULL")
		return 0, nil
	}
	return c.format, c.data
}

// fail notes the first error. An ErrShape replaces an ErrValue.
func (r *Row) fail(i int, kind error, what string) {
	if r.err != nil && (!errors.Is(kind, ErrShape) || errors.Is(r.err, ErrShape)) {
		return
	}
	if r.relation == nil {
		r.err = fmt.Errorf("%w: a row is missing: REPLICA IDENTITY is not FULL", ErrShape)
		return
	}
	name := strconv.Itoa(i)
	if i < len(r.relation.Columns) {
		name = r.relation.Columns[i].Name
	}
	r.err = fmt.Errorf("%w: column %s of %s %s", kind, name, r.relation.Name, what)
}

// view returns the bytes as a string without a copy, for parsers that do not keep it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
