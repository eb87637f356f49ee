package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrDecode is returned for a message that does not have the documented form.
var ErrDecode = errors.New("malformed pgoutput message")

// Kind is the first byte of a pgoutput message.
type Kind byte

// The kinds that Decode knows. Origin and Type messages are skipped.
const (
	Begin    Kind = 'B'
	Commit   Kind = 'C'
	Describe Kind = 'R'
	Insert   Kind = 'I'
	Update   Kind = 'U'
	Delete   Kind = 'D'
	Truncate Kind = 'T'
	Logical  Kind = 'M'
	Origin   Kind = 'O'
	Type     Kind = 'Y'
)

// Message is one decoded message. The message and everything it points to are valid until the next Decode, and only as
// long as the decoded bytes are.
type Message struct {
	Kind          Kind
	Relation      *Relation   // Describe, Insert, Update, Delete
	Old, New      Row         // Insert: New; Delete: Old; Update: both, with REPLICA IDENTITY FULL
	Truncated     []*Relation // Truncate
	Begin         Transaction // Begin
	EndLSN        LSN         // Commit: the end of the transaction's commit record
	Transactional bool        // Logical
	Prefix        []byte      // Logical
	Content       []byte      // Logical
}

// Relation is a table as the stream described it last.
type Relation struct {
	ID      uint32
	Name    string // schema.table
	Full    bool   // REPLICA IDENTITY FULL
	Columns []ColumnType
}

// ColumnType is the name and the type (pg_type.oid) of a column.
type ColumnType struct {
	Name string
	OID  uint32
}

// Decoder remembers the relations of a stream. It reuses its memory, so it allocates nothing for a row.
type Decoder struct {
	relations map[uint32]*Relation
	message   Message
	old, new  []column
}

// NewDecoder makes a decoder for one START_REPLICATION.
func NewDecoder() *Decoder { return &Decoder{relations: make(map[uint32]*Relation)} }

// Decode decodes one message. Its errors are ErrDecode.
func (d *Decoder) Decode(data []byte) (*Message, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: empty", ErrDecode)
	}
	m := &d.message
	*m = Message{Kind: Kind(data[0]), Truncated: m.Truncated[:0]}
	c := cursor{rest: data[1:]}
	if err := d.decode(m, &c); err != nil {
		return nil, fmt.Errorf("message %q: %w", data[0], err)
	}
	if c.bad || len(c.rest) > 0 {
		return nil, fmt.Errorf("message %q of %d bytes: %w", data[0], len(data), ErrDecode)
	}
	return m, nil
}

func (d *Decoder) decode(m *Message, c *cursor) error {
	switch m.Kind {
	case Begin:
		m.Begin = Transaction{Final: LSN(c.uint64()), At: int64(c.uint64()) + epochMicros, XID: c.uint32()}
	case Commit:
		c.take(1 + 8)
		m.EndLSN = LSN(c.uint64())
		c.take(8)
	case Describe:
		m.Relation = d.describe(c)
	case Insert, Update, Delete:
		return d.row(m, c)
	case Truncate:
		return d.truncate(m, c)
	case Logical:
		m.Transactional = c.byte()&1 != 0
		c.take(8)
		m.Prefix = c.cstring()
		m.Content = c.take(int(c.uint32()))
	case Origin, Type:
		c.rest = nil
	default:
		return fmt.Errorf("%w: unknown kind", ErrDecode)
	}
	return nil
}

func (d *Decoder) describe(c *cursor) *Relation {
	r := &Relation{ID: c.uint32()}
	schema, table := c.cstring(), c.cstring()
	r.Name = string(schema) + "." + string(table)
	r.Full = c.byte() == 'f'
	for n := c.uint16(); n > 0 && !c.bad; n-- {
		c.byte()
		r.Columns = append(r.Columns, ColumnType{Name: string(c.cstring()), OID: c.uint32()})
		c.uint32()
	}
	if !c.bad {
		d.relations[r.ID] = r
	}
	return r
}

func (d *Decoder) row(m *Message, c *cursor) error {
	id := c.uint32()
	if m.Relation = d.relations[id]; m.Relation == nil {
		return fmt.Errorf("%w: row of the undescribed relation %d", ErrDecode, id)
	}
	tuple := c.byte()
	if tuple == 'K' || tuple == 'O' {
		if m.Kind == Insert {
			return fmt.Errorf("%w: insert with an old row", ErrDecode)
		}
		d.old = c.tuple(d.old[:0], len(m.Relation.Columns))
		m.Old = Row{relation: m.Relation, columns: d.old}
		if m.Kind == Delete {
			return nil
		}
		tuple = c.byte()
	}
	if tuple != 'N' || m.Kind == Delete {
		return fmt.Errorf("%w: tuple of kind %q", ErrDecode, tuple)
	}
	d.new = c.tuple(d.new[:0], len(m.Relation.Columns))
	m.New = Row{relation: m.Relation, columns: d.new}
	fillUnchanged(d.new, m.Old.columns)
	return nil
}

// fillUnchanged copies the values of TOASTed columns that an update left alone from the old row.
func fillUnchanged(now, old []column) {
	for i := range now {
		if now[i].format == unchanged && i < len(old) {
			now[i] = old[i]
		}
	}
}

func (d *Decoder) truncate(m *Message, c *cursor) error {
	n := c.uint32()
	c.byte()
	for ; n > 0 && !c.bad; n-- {
		id := c.uint32()
		r := d.relations[id]
		if r == nil && !c.bad {
			return fmt.Errorf("%w: truncate of the undescribed relation %d", ErrDecode, id)
		}
		m.Truncated = append(m.Truncated, r)
	}
	return nil
}

// cursor takes fields off a message. If a field is missing, bad is set and every later field is zero.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n < 0 || n > len(c.rest) {
		c.bad, c.rest = true, nil
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) cstring() []byte {
	end := bytes.IndexByte(c.rest, 0)
	if end < 0 {
		c.bad = true
		return nil
	}
	b := c.take(end)
	c.take(1)
	return b
}

// tuple appends the columns of a row; want is how many the relation has.
func (c *cursor) tuple(dst []column, want int) []column {
	n := int(c.uint16())
	if n != want {
		c.bad = true
		return dst
	}
	for range n {
		col := column{format: c.byte()}
		switch col.format {
		case null, unchanged:
		case text, binaryFormat:
			col.data = c.take(int(c.uint32()))
		default:
			c.bad = true
		}
		if c.bad {
			return dst
		}
		dst = append(dst, col)
	}
	return dst
}
