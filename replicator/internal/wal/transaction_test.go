package wal

import (
	"fmt"
	"strings"
	"testing"
)

type recorder struct{ strings.Builder }

func (r *recorder) note(format string, args ...any) error {
	_, err := fmt.Fprintf(r, format+" ", args...)
	return err
}
func (r *recorder) Begin(Transaction) error         { return nil }
func (r *recorder) Describe(*Relation) error        { return r.note("R") }
func (r *recorder) Row(m *Message) error            { return r.note("%c", m.Kind) }
func (r *recorder) Truncate([]*Relation) error      { return r.note("T") }
func (r *recorder) Logical(_, content []byte) error { return r.note("M%s", content) }
func (r *recorder) Commit(end LSN) error            { return r.note("C%s", end) }
func (r *recorder) Position(at LSN) error           { return r.note("P%s", at) }

func TestMessagesStayWithinTheirTransaction(t *testing.T) {
	for _, c := range []struct{ kinds, want string }{
		{"BRIC", "R I C0/0 "}, {"BMC", "M C0/0 "}, {"mBC", "C0/0 "}, {"BOYIC", "I C0/0 "},
		{"I", "error"}, {"C", "error"}, {"BB", "error"}, {"BCI", "C0/0 error"}, {"M", "error"},
	} {
		r := &recorder{}
		var tx transaction
		for _, k := range c.kinds {
			m := &Message{Kind: Kind(k), Transactional: true}
			if k == 'm' {
				m = &Message{Kind: Logical}
			}
			if err := tx.handle(m, r); err != nil {
				r.WriteString("error")
				break
			}
		}
		if r.String() != c.want {
			t.Errorf("%s: %q, want %q", c.kinds, r.String(), c.want)
		}
	}
}
