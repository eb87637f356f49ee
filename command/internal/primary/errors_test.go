package primary

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// A server that ends the connection in place of the answer to a step has not begun the commit. One that does so in place
// of the commit's answer may have committed.
func TestWhereAServerEndsATransaction_W2(t *testing.T) {
	ended := fmt.Errorf("step: %w", &pgconn.PgError{Code: "57P01", SeverityUnlocalized: "FATAL"})
	for name, c := range map[string]struct {
		err   error
		moved bool
	}{
		"before the commit": {beforeCommit(ended), true},
		"at the commit":     {uncommitted(ended), false},
		"read-only":         {beforeCommit(&pgconn.PgError{Code: "25006", SeverityUnlocalized: "ERROR"}), true},
		"lost":              {beforeCommit(errors.New("unexpected EOF")), false},
		"bad data":          {beforeCommit(&pgconn.PgError{Code: "22003", SeverityUnlocalized: "ERROR"}), false},
		"no connection":     {fmt.Errorf("%w: %w", ErrUnavailable, ended), false},
	} {
		if moved(c.err) != c.moved {
			t.Errorf("%s: tried elsewhere: %v, want %v", name, !c.moved, c.moved)
		}
		if name == "before the commit" && !errors.Is(Classify(c.err), ErrUnavailable) {
			t.Errorf("%s: %v", name, Classify(c.err))
		}
	}
}

func TestErrorsOfATransaction(t *testing.T) {
	pg := func(code string) error { return fmt.Errorf("step: %w", &pgconn.PgError{Code: code}) }
	fatal := func(code string) error {
		return fmt.Errorf("step: %w", &pgconn.PgError{Code: code, SeverityUnlocalized: "PANIC"})
	}
	broken := errors.New("unexpected EOF")
	for name, c := range map[string]struct {
		err   error
		want  error // of Classify
		again bool
	}{
		"serialization":     {pg("40001"), ErrUnavailable, true},
		"deadlock":          {pg("40P01"), ErrUnavailable, true},
		"duplicate":         {pg("23505"), ErrUnavailable, true},
		"statement timeout": {pg("57014"), ErrUnavailable, false},
		"shutdown":          {fatal("57P01"), ErrUnknownOutcome, false},
		"disk broke down":   {fatal("58030"), ErrUnknownOutcome, false}, // while the commit was flushed
		"disk full":         {pg("53100"), ErrUnavailable, false},
		"read-only":         {pg("25006"), ErrUnavailable, false},
		"connection lost":   {broken, ErrUnknownOutcome, false},
		"deadline":          {context.DeadlineExceeded, ErrUnknownOutcome, false},
		"no such table":     {pg("42P01"), nil, false},
	} {
		err := uncommitted(c.err)
		if transient(err) != c.again {
			t.Errorf("%s: tried again: %v, want %v", name, !c.again, c.again)
		}
		got := Classify(err)
		if c.want == nil {
			if errors.Is(got, ErrUnavailable) || errors.Is(got, ErrUnknownOutcome) {
				t.Errorf("%s: %v", name, got)
			}
		} else if !errors.Is(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
