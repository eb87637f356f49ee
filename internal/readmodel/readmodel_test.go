package readmodel

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
)

func FuzzParseMember(f *testing.F) {
	f.Add([]byte{})
	f.Add(Bid{ID: 1, UserID: 1, CreatedAt: 1, Price: 1, Quantity: 1}.AppendMember(nil))
	f.Add(Bid{ID: math.MaxInt64, UserID: math.MaxInt64, CreatedAt: math.MaxInt64, Price: math.MaxInt32, Quantity: math.MaxInt32}.AppendMember(nil))
	f.Fuzz(func(t *testing.T, member []byte) {
		b, err := ParseMember(9, 270, member)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v is not ErrCorrupt", err)
			}
			return
		}
		if again := b.AppendMember(nil); !bytes.HasPrefix(member, again) {
			t.Fatalf("%x parsed to %+v, which packs to %x", member, b, again)
		}
	})
}

func FuzzParseRaffle(f *testing.F) {
	f.Add(Raffle{ID: 7, ProductID: 8, SellerID: 9, StartsAt: 10, EndsAt: 11, ClosedAt: 12, ClosingPrice: 13}.AppendMember(nil))
	f.Fuzz(func(t *testing.T, member []byte) {
		r, err := ParseRaffle(member)
		if err == nil && !bytes.HasPrefix(member, r.AppendMember(nil)) {
			t.Fatalf("%x parsed to %+v, which packs differently", member, r)
		}
	})
}

func FuzzParseProduct(f *testing.F) {
	f.Add(Product{ID: 7, Name: "n", Model: "m", Color: "c", Category: "k", ImageURL: "u", ReleaseDate: "2026-01-02", ReleasePrice: 1}.AppendEntry(nil))
	f.Fuzz(func(t *testing.T, entry []byte) {
		p, err := ParseProduct(entry)
		if err == nil && !bytes.HasPrefix(entry, p.AppendEntry(nil)) {
			t.Fatalf("%x parsed to %+v, which packs differently", entry, p)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(Checkpoint{SystemID: 1, Timeline: 2, Slot: "s", LSN: 3, Epoch: 4, Token: "t", Applying: true, Publication: "p", Commit: 7, CommitAt: 8, Beat: heartbeat.Beat{Number: 5, Nonce: -6, At: 7}, Delay: 9}.String())
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCheckpoint(s)
		if err != nil {
			return
		}
		again, err := ParseCheckpoint(c.String())
		if err != nil || again != c {
			t.Fatalf("%q parsed to %+v, which came back as %+v (%v)", s, c, again, err)
		}
	})
}

func TestMemberOrderIsTimeThenID(t *testing.T) {
	ordered := []Bid{
		{CreatedAt: 1, ID: 2, UserID: 900}, {CreatedAt: 1, ID: 256, UserID: 1}, {CreatedAt: 2, ID: 1, UserID: 5},
		{CreatedAt: 255, ID: 9}, {CreatedAt: 256, ID: 1},
	}
	for i := 1; i < len(ordered); i++ {
		a, b := ordered[i-1].AppendMember(nil), ordered[i].AppendMember(nil)
		if bytes.Compare(a, b) >= 0 {
			t.Errorf("%+v does not come before %+v", ordered[i-1], ordered[i])
		}
	}
}

// P7: the lag is the last heartbeat's delay, and it grows by itself when heartbeats stop.
func TestLag_P7(t *testing.T) {
	const sec = 1_000_000
	for _, c := range []struct {
		name               string
		at, seen, now, lag int64
	}{
		{"fresh", 100 * sec, 100*sec + 3000, 100*sec + 500_000, 3},
		{"slow probe", 100 * sec, 105 * sec, 105 * sec, 5000},
		{"probes stopped", 100 * sec, 100*sec + 3000, 110 * sec, 8000},
		{"clock of the primary ahead", 100 * sec, 99 * sec, 99 * sec, 0},
	} {
		if got := (Checkpoint{Beat: heartbeat.Beat{At: c.at}, Delay: (c.seen - c.at) / 1000}).LagMillis(c.now); got != c.lag {
			t.Errorf("%s: lag %d ms, want %d", c.name, got, c.lag)
		}
	}
}

func TestKeysOfARaffleShareItsHashTag(t *testing.T) {
	e := Epoch(3)
	for got, want := range map[string]string{
		e.Newest(12, 270): "{r12}:3:n:270", e.Highest(12, 270): "{r12}:3:h:270",
		e.Sizes(12): "{r12}:3:sizes", e.Raffle(12): "{r12}:3:raffle", e.Raffles(): "{raffles}:3", e.Products(): "{products}:3",
	} {
		if got != want {
			t.Errorf("key %q, want %q", got, want)
		}
	}
}
