package wal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

// message packs fields as pgoutput does, with big-endian numbers and strings as they are.
func message(fields ...any) []byte {
	var b []byte
	for _, f := range fields {
		switch v := f.(type) {
		case byte:
			b = append(b, v)
		case rune:
			b = append(b, byte(v))
		case string:
			b = append(b, v...)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, v)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, v)
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

func field(format rune, data []byte) []byte { return message(format, uint32(len(data)), data) }

var (
	described = message('R', uint32(7), "public\x00bids\x00f", uint16(5),
		byte(1), "id\x00", uint32(20), uint32(0xffffffff), byte(0), "size\x00", uint32(21), uint32(0xffffffff),
		byte(0), "created_at\x00", uint32(1184), uint32(0xffffffff), byte(0), "name\x00", uint32(25), uint32(0xffffffff),
		byte(0), "day\x00", uint32(1082), uint32(0xffffffff))
	inBinary = message(uint16(5), field('b', message(uint64(1<<40))), field('b', message(uint16(270))),
		field('b', message(uint64(1_000_000))), field('b', []byte("a shoe")), field('b', message(uint32(366))))
	inText = message(uint16(5), field('t', []byte("1099511627776")), field('t', []byte("270")),
		field('t', []byte("2000-01-01 00:00:01+00")), field('t', []byte("a shoe")), field('t', []byte("2001-01-01")))
)

func decodeRow(t *testing.T, data []byte) *Message {
	t.Helper()
	d := NewDecoder()
	if _, err := d.Decode(described); err != nil {
		t.Fatal(err)
	}
	m, err := d.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func checkRow(t *testing.T, r *Row) {
	t.Helper()
	if id, size := r.Int64(0), r.Int16(1); id != 1<<40 || size != 270 {
		t.Errorf("id %d, size %d", id, size)
	}
	if at, name, day := r.Micros(2), r.Text(3), r.Date(4); at != 946_684_801_000_000 || name != "a shoe" || day != "2001-01-01" {
		t.Errorf("created_at %d, name %q, day %q", at, name, day)
	}
	if r.Err() != nil {
		t.Error(r.Err())
	}
}

func TestRowsInBothFormats_P6(t *testing.T) {
	for name, tuple := range map[string][]byte{"binary": inBinary, "text": inText} {
		t.Run(name, func(t *testing.T) {
			checkRow(t, &decodeRow(t, message('I', uint32(7), 'N', tuple)).New)
			checkRow(t, &decodeRow(t, message('D', uint32(7), 'O', tuple)).Old)
			m := decodeRow(t, message('U', uint32(7), 'O', tuple, 'N', tuple))
			checkRow(t, &m.Old)
			checkRow(t, &m.New)
		})
	}
}

func TestUnchangedTOASTComesFromTheOldRow_P6(t *testing.T) {
	now := message(uint16(5), 'u', 'u', 'u', 'u', 'u')
	checkRow(t, &decodeRow(t, message('U', uint32(7), 'O', inBinary, 'N', now)).New)
	m := decodeRow(t, message('U', uint32(7), 'N', now))
	if m.New.Text(3); !errors.Is(m.New.Err(), ErrShape) {
		t.Errorf("without an old row: %v", m.New.Err())
	}
}

func TestDecodeOthers(t *testing.T) {
	m := decodeRow(t, message('C', byte(0), uint64(5), uint64(0x1_0000_0002), uint64(9)))
	if m.EndLSN.String() != "1/2" {
		t.Errorf("commit ends at %s", m.EndLSN)
	}
	m = decodeRow(t, message('M', byte(1), uint64(5), "pyramid.probe\x00", uint32(3), "123"))
	if string(m.Prefix) != "pyramid.probe" || string(m.Content) != "123" || !m.Transactional {
		t.Errorf("%+v", m)
	}
	m = decodeRow(t, message('T', uint32(1), byte(0), uint32(7)))
	if len(m.Truncated) != 1 || m.Truncated[0].Name != "public.bids" {
		t.Errorf("%+v", m.Truncated)
	}
}

func TestMalformedMessagesAreErrors_P6(t *testing.T) {
	for name, data := range map[string][]byte{
		"empty": {}, "kind": message('?'), "cut begin": message('B', uint64(1)),
		"undescribed": message('I', uint32(8), 'N', inBinary), "columns": message('I', uint32(7), 'N', message(uint16(1), 'n')),
		"format":  message('I', uint32(7), 'N', message(uint16(5), 'x', 'n', 'n', 'n', 'n')),
		"length":  message('I', uint32(7), 'N', message(uint16(5), 'b', uint32(0xffffffff))),
		"trailer": append(message('I', uint32(7), 'N', inBinary), 0), "old insert": message('I', uint32(7), 'O', inBinary, 'N', inBinary),
		"new delete": message('D', uint32(7), 'N', inBinary), "truncate": message('T', uint32(9), byte(0), uint32(7)),
	} {
		d := NewDecoder()
		if _, err := d.Decode(described); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Decode(data); !errors.Is(err, ErrDecode) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestColumnsAreFoundByName_P6(t *testing.T) {
	r := decodeRow(t, message('I', uint32(7), 'N', inBinary)).Relation
	if i, err := r.Index("created_at", Instant); i != 2 || err != nil {
		t.Errorf("created_at is %d, %v", i, err)
	}
	if _, err := r.Index("price", Integer); !errors.Is(err, ErrShape) || !strings.Contains(err.Error(), "public.bids has no column price") {
		t.Errorf("price: %v", err)
	}
	if _, err := r.Index("name", Integer); !errors.Is(err, ErrShape) {
		t.Errorf("name as integer: %v", err)
	}
}

func TestValuesThatDoNotFitAreErrors_P6_P12(t *testing.T) {
	tuple := message(uint16(5), field('b', message(^uint64(0))), field('t', []byte("70000")),
		field('b', message(uint64(1)<<63-1)), 'n', field('b', message(uint32(0x7fffffff))))
	late := message(uint16(5), 'n', 'n', field('b', message(uint64(lastMicros-epochMicros+1))), 'n', field('t', []byte("12026-01-01")))
	for name, c := range map[string]struct {
		tuple []byte
		get   func(*Row)
		want  error
	}{
		"negative":      {tuple, func(r *Row) { r.Int64(0) }, ErrValue},
		"large":         {tuple, func(r *Row) { r.Int16(1) }, ErrValue},
		"infinite time": {tuple, func(r *Row) { r.Micros(2) }, ErrValue},
		"null":          {tuple, func(r *Row) { r.Text(3) }, ErrValue},
		"infinite date": {tuple, func(r *Row) { r.Date(4) }, ErrValue},
		"year 10000":    {late, func(r *Row) { r.Micros(2) }, ErrValue},
		"year 12026":    {late, func(r *Row) { r.Date(4) }, ErrValue},
		"missing":       {tuple, func(r *Row) { r.Text(5) }, ErrShape},
		"missing, too":  {tuple, func(r *Row) { r.Int64(0); r.Text(5) }, ErrShape},
	} {
		r := decodeRow(t, message('I', uint32(7), 'N', c.tuple)).New
		if c.get(&r); !errors.Is(r.Err(), c.want) {
			t.Errorf("%s: %v", name, r.Err())
		}
	}
}

func TestDecodingARowAllocatesNothing(t *testing.T) {
	d := NewDecoder()
	if _, err := d.Decode(described); err != nil {
		t.Fatal(err)
	}
	data := message('U', uint32(7), 'O', inBinary, 'N', inBinary)
	n := testing.AllocsPerRun(100, func() {
		m, err := d.Decode(data)
		if err != nil || m.New.Int64(0) != 1<<40 || m.New.Micros(2) == 0 {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(message('I', uint32(7), 'N', inBinary))
	f.Add(message('U', uint32(7), 'O', inText, 'N', message(uint16(5), 'u', 'u', 'u', 'u', 'u')))
	f.Add(described)
	f.Add(message('T', uint32(1), byte(0), uint32(7)))
	f.Add(message('M', byte(1), uint64(5), "p\x00", uint32(1), "1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := NewDecoder()
		if _, err := d.Decode(described); err != nil {
			t.Fatal(err)
		}
		m, err := d.Decode(data)
		if err != nil {
			if !errors.Is(err, ErrDecode) {
				t.Fatalf("%v is not ErrDecode", err)
			}
			return
		}
		for _, r := range []*Row{&m.Old, &m.New} {
			for i := range 6 {
				_, _, _, _, _ = r.Int64(i), r.Int16(i), r.Micros(i), r.Text(i), r.Date(i)
			}
		}
	})
}

func FuzzCopyIsTheSameHoweverItIsCut(f *testing.F) {
	whole := message(copyHeader, uint64(0), uint16(2), uint32(1), "x", uint32(0xffffffff), uint16(1), uint32(2), "yz", uint16(0xffff))
	f.Add(whole, uint8(3))
	f.Add(whole[:30], uint8(1))
	f.Add(append(slices.Clone(whole), 1), uint8(200))
	f.Fuzz(func(t *testing.T, data []byte, cut uint8) {
		once, err1 := readCopy(data, len(data))
		pieces, err2 := readCopy(data, int(cut)+1)
		if (err1 == nil) != (err2 == nil) || once != pieces {
			t.Fatalf("at once %q %v, in pieces %q %v", once, err1, pieces, err2)
		}
	})
}

func readCopy(data []byte, size int) (string, error) {
	var rows strings.Builder
	r := &CopyReader{Row: func(fields [][]byte) error {
		rows.WriteString("row")
		for _, f := range fields {
			rows.WriteString(" " + hex.EncodeToString(f))
			if f == nil {
				rows.WriteString("null")
			}
		}
		return nil
	}}
	for data := range slices.Chunk(data, max(size, 1)) {
		if _, err := r.Write(bytes.Clone(data)); err != nil {
			return rows.String(), err
		}
	}
	return rows.String(), r.Close()
}
