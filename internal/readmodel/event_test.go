package readmodel

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func FuzzParseEvents(f *testing.F) {
	bid := Bid{RaffleID: 9, ID: 7, UserID: 3, Size: 270, CreatedAt: 12, Price: 1000, Quantity: 2}
	two := Event{Kind: EventCancel, Bid: bid}.AppendEvent(Event{Kind: EventBid, Bid: bid}.AppendEvent(nil))
	f.Add(uint64(2), two)
	f.Add(uint64(9), Event{Kind: EventClose, ClosedAt: 5, ClosingPrice: 6}.AppendEvent(two))
	f.Add(uint64(1), two)
	f.Add(uint64(3), Event{Kind: 'z', Packed: "of a newer build"}.AppendEvent(two))
	f.Add(uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, n uint64, packed []byte) {
		events, err := ParseEvents(9, EventID{5, n}, packed)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v is not ErrCorrupt", err)
			}
			return
		}
		var again []byte
		for i, e := range events {
			again = e.AppendEvent(again)
			if want := (EventID{5, n - uint64(len(events)-1-i)}); e.ID != want || e.ID.N == 0 {
				t.Fatalf("event %d of %d has the id %s, want %s", i, len(events), e.ID, want)
			}
		}
		if !bytes.Equal(again, packed) {
			t.Fatalf("%x parsed to %+v, which packs to %x", packed, events, again)
		}
	})
}

func FuzzParseEventID(f *testing.F) {
	for _, s := range []string{"0-0", "18446744073709551615-1", "-", "1", "+1-1", "01-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseEventID(s); err == nil && id.String() != s {
			t.Fatalf("%q parsed to %s", s, id)
		}
	})
}

func TestEventIDsAreOrderedByCommitThenNumber(t *testing.T) {
	ids := []EventID{{}, {0, 1}, {1, 0}, {1, 2}, {2, 1}, {math.MaxUint64, 0}}
	for i, a := range ids {
		for j, b := range ids {
			if a.After(b) != (i > j) {
				t.Errorf("%s after %s: %v", a, b, a.After(b))
			}
		}
	}
}

func FuzzParseSizeMember(f *testing.F) {
	f.Add(Bid{RaffleID: 4, ID: 1, UserID: 1, CreatedAt: 1, Price: 1, Quantity: 1}.AppendSizeMember(nil))
	f.Fuzz(func(t *testing.T, member []byte) {
		b, err := ParseSizeMember(270, member)
		if err == nil && !bytes.HasPrefix(member, b.AppendSizeMember(nil)) {
			t.Fatalf("%x parsed to %+v, which packs differently", member, b)
		}
	})
}

func TestEpochOfKnowsEveryKeyAndNoOther(t *testing.T) {
	e := Epoch(31)
	for _, key := range []string{e.Newest(1, 270), e.Highest(1, 270), e.Sizes(1), e.Raffle(1), e.Live(1), e.Raffles(),
		e.RafflesVersion(), e.Products(), e.SizeNewest(270), e.SizeFloor(270)} {
		if got, ours := EpochOf(key); got != e || !ours {
			t.Errorf("%s is of epoch %d, ours: %v", key, got, ours)
		}
	}
	for _, key := range []string{CheckpointKey, RebuildKey, EvictionsKey, "{r1}:31:other", "{rx}:31:sizes", "{s270}:31:sizes",
		"{raffles}:31:sizes", "{products}:31:version", "{r1}:x:sizes", "{other}:31", "{r1}:31",
		"{x}", "{x}:y", "x}:1", "{user}:1000:cart", "{order:77}:20260101", "{r}:5:sizes", "{r7}:5:cart", "{raffles}:5:cart",
		"{raffles}:x", "{raffles2}:5", "raffles}:5", "{r-1}:5:sizes", "{s-1}:5:newest"} {
		if e, ours := EpochOf(key); ours {
			t.Errorf("%s is taken for a key of epoch %d", key, e)
		}
	}
}
