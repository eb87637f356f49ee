package bid

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		bid  Bid
		want []string
	}{
		{Bid{Size: 270, Price: 1, Quantity: 1}, nil},
		{Bid{Size: math.MaxInt16, Price: math.MaxInt32, Quantity: math.MaxInt32}, nil},
		{Bid{Size: 0, Price: 1, Quantity: 1}, []string{"size"}},
		{Bid{Size: -270, Price: -1, Quantity: 1}, []string{"size", "price"}},
		{Bid{Size: 270, Price: 1, Quantity: 0}, []string{"quantity"}},
		{Bid{}, []string{"size", "price", "quantity"}},
	} {
		err := c.bid.Check()
		var got InvalidError
		if errors.As(err, &got) != (c.want != nil) || len(got) != len(c.want) {
			t.Errorf("%+v: got %v, want %v", c.bid, err, c.want)
			continue
		}
		for i, f := range got {
			if f.Field != c.want[i] || !strings.Contains(err.Error(), f.Field) {
				t.Errorf("%+v: got %v, want %v", c.bid, err, c.want)
			}
		}
	}
}

func TestCheckKey(t *testing.T) {
	for _, key := range []string{"a", "~", "with space", strings.Repeat("k", 255)} {
		if err := CheckKey(key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{"", strings.Repeat("k", 256), "tab\t", "\x00", "\x7f", "schlüssel"} {
		if err := CheckKey(key); err == nil {
			t.Errorf("%q is accepted", key)
		}
	}
}

func TestHashTellsEveryValueApart(t *testing.T) {
	base := Bid{RaffleID: 1, UserID: 1, Size: 270, Price: 1000, Quantity: 1, Key: "k"}
	same := base
	same.UserID, same.Key = 2, "other" // the scope, not the values
	if base.Hash() != same.Hash() {
		t.Error("the hash depends on user or key")
	}
	seen := map[[32]byte]Bid{base.Hash(): base}
	for _, change := range []func(*Bid){
		func(b *Bid) { b.RaffleID = 2 }, func(b *Bid) { b.Size = 275 },
		func(b *Bid) { b.Price = 1001 }, func(b *Bid) { b.Quantity = 2 },
	} {
		b := base
		change(&b)
		if other, ok := seen[b.Hash()]; ok {
			t.Errorf("%+v and %+v share a hash", b, other)
		}
		seen[b.Hash()] = b
	}
}

func TestErrorsOfATransaction(t *testing.T) {
	pg := func(code string) error { return fmt.Errorf("step: %w", &pgconn.PgError{Code: code}) }
	broken := errors.New("unexpected EOF")
	for name, c := range map[string]struct {
		err   error
		want  error // of classify
		again bool
	}{
		"serialization":     {pg("40001"), ErrUnavailable, true},
		"deadlock":          {pg("40P01"), ErrUnavailable, true},
		"duplicate":         {pg("23505"), ErrUnavailable, true},
		"statement timeout": {pg("57014"), ErrUnavailable, false},
		"shutdown":          {pg("57P01"), ErrUnavailable, false},
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
		got := classify(err)
		if c.want == nil {
			if errors.Is(got, ErrUnavailable) || errors.Is(got, ErrUnknownOutcome) {
				t.Errorf("%s: %v", name, got)
			}
		} else if !errors.Is(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// gatedWriter answers once its gate is opened, whatever becomes of the caller.
type gatedWriter struct {
	gate    chan struct{}
	entered chan context.Context
}

func (w gatedWriter) Place(context.Context, []Bid) ([]Result, error) { return nil, ErrUnavailable }

func (w gatedWriter) Cancel(ctx context.Context, _, _, _ int64) (string, error) {
	w.entered <- ctx
	<-w.gate
	return "0/1", ctx.Err()
}

func TestCancellationsAreBoundedAndOutliveTheirCaller(t *testing.T) {
	w := gatedWriter{gate: make(chan struct{}), entered: make(chan context.Context, 2)}
	d := direct{w, make(chan struct{}, 1), time.Minute}
	caller, gone := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := d.Cancel(caller, 1, 1, 1)
		first <- err
	}()
	ctx := <-w.entered
	if _, limited := ctx.Deadline(); !limited {
		t.Error("no deadline")
	}
	if _, err := d.Cancel(t.Context(), 1, 1, 1); !errors.Is(err, ErrBusy) {
		t.Errorf("a cancellation too many: %v", err)
	}
	gone()
	close(w.gate)
	if err := <-first; err != nil {
		t.Errorf("the caller went away: %v", err)
	}
	if lsn, err := d.Cancel(t.Context(), 1, 1, 1); err != nil || lsn != "0/1" {
		t.Errorf("after the rush: %s, %v", lsn, err)
	}
}
