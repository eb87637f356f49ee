package live

import (
	"bytes"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

func chunkOf(n int) *chunk {
	c := newChunk(Position{1, id(1, 0)})
	for i := range n {
		e := readmodel.Event{ID: id(100, uint64(i+1)), Kind: readmodel.EventBid, Bid: readmodel.Bid{ID: int64(i + 1), Size: 250 + 5*int16(i%2)}}
		c.add(raffle, 1, &e, encodeShort)
	}
	return c
}

// Subscribers of a size share what is made for the first of them: frames, packets and the list of events.
func TestASizeCostsNoCopyForEachSubscriber_M16(t *testing.T) {
	c, at := chunkOf(1000), Position{1, id(1, 0)}
	want := c.of(250).after(at)
	if len(want.events) != 500 || bytes.Count(want.frames(), []byte("event: bid\n")) != 500 {
		t.Fatalf("%d events in %d bytes", len(want.events), len(want.frames()))
	}
	packets := want.packets()
	cost := testing.AllocsPerRun(100, func() {
		part := c.of(250).after(at)
		if &part.frames()[0] != &want.frames()[0] || &part.packets()[0] != &packets[0] {
			t.Error("another copy")
		}
	})
	if cost > 0 {
		t.Errorf("%v allocations for a subscriber", cost)
	}
}

// A subscriber in the middle of a chunk gets the rest of its view.
func TestThePartOfAViewBehindAPosition(t *testing.T) {
	c := chunkOf(6)
	part := c.of(255).after(Position{1, id(100, 3)})
	if want := "event: bid\nid: 1.100-4\ndata: 4\n\nevent: bid\nid: 1.100-6\ndata: 6\n\n"; string(part.frames()) != want {
		t.Errorf("frames %q, want %q", part.frames(), want)
	}
	if got := part.packets(); len(got) != 1 || string(got[0]) != `42/raffles,["bidList",[4,6],"1.100-6"]` {
		t.Errorf("packets %q", got)
	}
	if part := c.of(255).after(Position{1, id(100, 6)}); part.frames() != nil || part.packets() != nil {
		t.Error("there is something behind the end")
	}
}
