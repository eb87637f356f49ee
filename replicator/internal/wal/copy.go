package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// copyHeader begins a binary COPY, before four bytes of flags and the length of an extension.
const copyHeader = "PGCOPY\n\xff\r\n\x00"

// CopyReader reads a binary COPY from bytes that may be cut anywhere. It calls Row for each row with its fields (nil:
// null), which are valid only during the call.
type CopyReader struct {
	Row func(fields [][]byte) error

	begun, ended bool
	pending      []byte
	fields       [][]byte
}

var errIncomplete = errors.New("incomplete")

// Write makes CopyReader an io.Writer.
func (r *CopyReader) Write(p []byte) (int, error) {
	data := p
	if len(r.pending) > 0 {
		r.pending = append(r.pending, p...)
		data = r.pending
	}
	for len(data) > 0 && !r.ended {
		n, err := r.step(data)
		if errors.Is(err, errIncomplete) {
			break
		}
		if err != nil {
			return 0, err
		}
		data = data[n:]
	}
	if r.ended && len(data) > 0 {
		return 0, fmt.Errorf("%w: data after the end of the copy", ErrDecode)
	}
	r.pending = append(r.pending[:0], data...)
	return len(p), nil
}

// Close returns an error if the copy did not come to its end.
func (r *CopyReader) Close() error {
	if !r.ended {
		return fmt.Errorf("%w: the copy ended early", ErrDecode)
	}
	return nil
}

// step consumes the header or one row.
func (r *CopyReader) step(data []byte) (int, error) {
	if r.begun {
		return r.row(data)
	}
	const fixed = len(copyHeader) + 8
	if len(data) < fixed {
		return 0, errIncomplete
	}
	extension := binary.BigEndian.Uint32(data[fixed-4:])
	if string(data[:len(copyHeader)]) != copyHeader || extension != 0 {
		return 0, fmt.Errorf("%w: no binary copy", ErrDecode)
	}
	r.begun = true
	return fixed, nil
}

func (r *CopyReader) row(data []byte) (int, error) {
	if len(data) < 2 {
		return 0, errIncomplete
	}
	n, at := int(int16(binary.BigEndian.Uint16(data))), 2
	if n == -1 {
		r.ended = true
		return at, nil
	}
	if n < 0 {
		return 0, fmt.Errorf("%w: row of %d fields", ErrDecode, n)
	}
	r.fields = r.fields[:0]
	for range n {
		if len(data)-at < 4 {
			return 0, errIncomplete
		}
		size := int(int32(binary.BigEndian.Uint32(data[at:])))
		at += 4
		if size == -1 {
			r.fields = append(r.fields, nil)
			continue
		}
		if size < 0 {
			return 0, fmt.Errorf("%w: field of %d bytes", ErrDecode, size)
		}
		if len(data)-at < size {
			return 0, errIncomplete
		}
		r.fields = append(r.fields, data[at:at+size:at+size])
		at += size
	}
	return at, r.Row(r.fields)
}
