package bid

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
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

// gatedWriter answers once its gate is opened, whatever becomes of the caller.
type gatedWriter struct {
	gate    chan struct{}
	entered chan context.Context
}

func (w gatedWriter) Cancel(ctx context.Context, _, _, _ int64) (string, error) {
	w.entered <- ctx
	<-w.gate
	return "0/1", ctx.Err()
}

func TestCancellationsAreBoundedAndOutliveTheirCaller(t *testing.T) {
	w := gatedWriter{gate: make(chan struct{}), entered: make(chan context.Context, 100)}
	d := NewCancels(w)
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
	for range raffleCancels - 1 {
		go func() { _, _ = d.Cancel(caller, 1, 1, 1) }()
		<-w.entered
	}
	if _, err := d.Cancel(t.Context(), 1, 1, 1); !errors.Is(err, ErrBusy) {
		t.Errorf("a cancellation too many: %v", err)
	}
	other := make(chan error)
	go func() {
		_, err := d.Cancel(t.Context(), 2, 1, 1)
		other <- err
	}()
	<-w.entered // W7: one raffle leaves places to the others
	gone()
	close(w.gate)
	for _, c := range []chan error{first, other} {
		if err := <-c; err != nil {
			t.Errorf("the caller went away: %v", err)
		}
	}
	if lsn, err := d.Cancel(t.Context(), 1, 1, 1); err != nil || lsn != "0/1" {
		t.Errorf("after the rush: %s, %v", lsn, err)
	}
}
