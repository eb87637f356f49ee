package wal

import "errors"

// Transaction is what the stream says about a transaction at its beginning. Final and At together identify it in all
// histories.
type Transaction struct {
	XID   uint32 // the number that it had while it ran
	Final LSN    // the start of its commit record
	At    int64  // the time in that record, in microseconds since the Unix epoch
}

// Handler gets what the stream carries, in order and one transaction after the other. Its arguments are valid only
// during the call.
type Handler interface {
	// Describe announces the columns of a table, before the table's first row and after each change of its columns.
	Describe(*Relation) error
	Begin(Transaction) error
	// Row is an Insert, Update or Delete.
	Row(*Message) error
	// Truncate names the emptied tables.
	Truncate([]*Relation) error
	// Logical is a transactional logical message.
	Logical(prefix, content []byte) error
	// Commit ends a transaction; end is the end of its commit record.
	Commit(end LSN) error
	// Position says that everything committed up to a position has been handed over.
	Position(LSN) error
}

var errNesting = errors.New("pgoutput message outside of its transaction")

// Run receives until an error; Close causes one. It passes on the position of a keepalive only between two
// transactions, because within a transaction the position can be past what was handed over.
func (s *Stream) Run(h Handler) error {
	d := NewDecoder()
	var t transaction
	for {
		r, err := s.receive()
		if err != nil {
			return err
		}
		if r.data == nil {
			if r.keepalive != 0 && !t.open {
				if err := h.Position(r.keepalive); err != nil {
					return err
				}
			}
			continue
		}
		m, err := d.Decode(r.data)
		if err != nil {
			return err
		}
		if err := t.handle(m, h); err != nil {
			return err
		}
	}
}

// transaction notes whether a transaction is open. Protocol version 1 sends whole transactions, one after the other.
type transaction struct{ open bool }

func (t *transaction) handle(m *Message, h Handler) error {
	switch m.Kind {
	case Begin:
		if t.open {
			return errNesting
		}
		t.open = true
		return h.Begin(m.Begin)
	case Describe:
		return h.Describe(m.Relation)
	case Origin, Type:
		return nil
	case Logical:
		if !m.Transactional {
			return nil
		}
	}
	if !t.open {
		return errNesting
	}
	switch m.Kind {
	case Commit:
		t.open = false
		return h.Commit(m.EndLSN)
	case Truncate:
		return h.Truncate(m.Truncated)
	case Logical:
		return h.Logical(m.Prefix, m.Content)
	default:
		return h.Row(m)
	}
}
