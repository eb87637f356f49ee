package readmodel

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
)

// TestReleasedPackings holds the bytes that released programs have written, so that they are read for ever, alone and with
// the further fields of a later release. If a packing of this release is meant to differ, add its bytes and raise Format.
func TestReleasedPackings(t *testing.T) {
	bid := Bid{RaffleID: 901, ID: 7_000_000, UserID: 300, CreatedAt: 1_764_266_716_123_456, Price: 250_000, Quantity: 2, Size: 270}
	raffle := Raffle{ID: 901, ProductID: 12, SellerID: 1, StartsAt: 1_700_000_000_000_000, EndsAt: 2_000_000_000_000_000, ClosedAt: 1_764_266_716_123_456, ClosingPrice: 250_000}
	product := Product{ID: 12, Name: "Air", Model: "A-1", Color: "red", Category: "shoe", ImageURL: "/i", ReleaseDate: "2026-01-02", ReleasePrice: 199_000}
	for _, c := range []struct {
		what, released string
		packed         []byte
		parse          func([]byte) (any, error)
		want           any
	}{
		{"member", "000644975ae7514000000000006acfc0ac0290a10f02", bid.AppendMember(nil), func(b []byte) (any, error) { return ParseMember(901, 270, b) }, bid},
		{"size member", "000644975ae7514000000000006acfc08507ac0290a10f02", bid.AppendSizeMember(nil), func(b []byte) (any, error) { return ParseSizeMember(270, b) }, bid},
		{"raffle", "00071afd498d000000000000000003850c018080f9c0c1c48203c0a29dd7f592910390a10f", raffle.AppendMember(nil), func(b []byte) (any, error) { return ParseRaffle(b) }, raffle},
		{"product", "0cd8920c0341697203412d31037265640473686f65022f690a323032362d30312d3032", product.AppendEntry(nil), func(b []byte) (any, error) { return ParseProduct(b) }, product},
	} {
		released, err := hex.DecodeString(c.released)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(c.packed) != c.released {
			t.Errorf("%s: the packing is now %x: raise Format", c.what, c.packed)
		}
		for _, further := range []string{"", "\x07", "\xff and text"} {
			if got, err := c.parse(append(released[:len(released):len(released)], further...)); err != nil || got != c.want {
				t.Errorf("%s with %q at its end: %+v, %v", c.what, further, got, err)
			}
		}
		if got, err := c.parse(released[:len(released)-1]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s without its end: %+v, %v", c.what, got, err)
		}
	}
}

func TestReleasedCheckpoints(t *testing.T) {
	want := Checkpoint{SystemID: 7_577_000_000_000_000_001, Timeline: 2, Slot: "pyramid_5", LSN: 0x60174D8, Epoch: 5, Token: "0a1b2c3d", Applying: true,
		Publication: "p1", Commit: 0x6017400, CommitAt: 1_764_266_716_123_456, Beat: heartbeat.Beat{Number: 12, Nonce: -5, At: 17}, Delay: 3, Phase: 4}
	const first = "3 7577000000000000001 2 pyramid_5 0/60174D8 5 0a1b2c3d applying p1 0/6017400 1764266716123456 12,-5,17 3 4"
	with := func(server int64, format uint64) Checkpoint {
		c := want
		c.Server, c.Format = server, format
		return c
	}
	for text, want := range map[string]Checkpoint{
		first:                    want,
		first + " 99":            with(99, 0),
		first + " 99 0":          with(99, 0),
		first + " 99 1":          with(99, 1), // of a later release, as all below
		first + " 99 1 new":      with(99, 1),
		first + " 99 1 new 7 - ": with(99, 1),
		strings.Replace(first, "12,-5,17", "12,-5,17,new", 1): want,
	} {
		if got, err := ParseCheckpoint(text); err != nil || got != want {
			t.Errorf("%q is read as %+v, %v", text, got, err)
		}
	}
	for _, other := range []string{"2 x", "4 x", strings.Replace(first, "3", "4", 1)} {
		if _, err := ParseCheckpoint(other); !errors.Is(err, ErrVersion) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v", other, err)
		}
	}
	for _, bad := range []string{"", "3", "x 1", first + " x", first + " 99 x", strings.Replace(first, "applying", "new", 1)} {
		if c, err := ParseCheckpoint(bad); !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion) {
			t.Errorf("%q is read as %+v, %v", bad, c, err)
		}
	}
}

// An entry of a stream as a released replicator wrote it, and with an event of a later release between the others.
func TestReleasedEvents(t *testing.T) {
	const bid, cancel, closed, reset = "628e02000644975ae7514000000000006acfc0ac0290a10f02", "638e02000644975ae7514000000000006acfc0ac0290a10f02", "78c0a29dd7f592910390a10f", "72"
	later := hex.EncodeToString(append([]byte{'n', 3}, "new"...))
	for text, kinds := range map[string]string{bid: "b", bid + cancel: "bc", closed: "x", reset: "r", bid + later + cancel: "bnc", later: "n"} {
		packed, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		events, err := ParseEvents(901, EventID{5, 9}, packed)
		var got string
		for _, e := range events {
			got += string(e.Kind)
		}
		if err != nil || got != kinds {
			t.Errorf("%s is read as %q, %v, want %q", text, got, err, kinds)
		}
	}
}
