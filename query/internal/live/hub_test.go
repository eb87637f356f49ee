package live

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func TestEverySubscriberGetsItsEventsOnceInOrder(t *testing.T) {
	f := startFeed(t)
	all, small := f.connect(t, 0, ""), f.connect(t, 250, "")
	one, two := f.bid(270), f.bid(250)
	cancel := readmodel.Event{Kind: readmodel.EventCancel, Bid: one.Bid}
	end := readmodel.Event{Kind: readmodel.EventClose, ClosedAt: 99, ClosingPrice: 5}
	f.commit(t, []readmodel.Event{one, two}, []readmodel.Event{cancel}, []readmodel.Event{end})
	want := []got{{nameBid, "1.1008-1", "1"}, {nameBid, "1.1008-2", "2"}, {nameCancel, "1.1108-1", "1"}, {nameClose, "1.1208-1", "99"}}
	for i, g := range all.events(t, 4) {
		if g != want[i] {
			t.Errorf("event %d is %v, want %v", i, g, want[i])
		}
	}
	for i, g := range small.events(t, 2) {
		if w := want[1+2*i]; g != w {
			t.Errorf("size 250: %v, want %v", g, w)
		}
	}
	if n := f.metric(t, "query_live_events_total"); n != 4 {
		t.Errorf("%v events counted", n)
	}
}

func TestResumesWithoutGapOrDoubling(t *testing.T) {
	f := startFeed(t)
	c := f.connect(t, 0, "")
	begin := c.lastID
	f.place(t, 3)
	c.expectBids(t, 1, 3)
	last := c.lastID
	c.close(t)
	f.place(t, 900)
	for _, from := range []string{begin, last} {
		first := int64(1)
		if from == last {
			first = 4
		}
		c := f.connect(t, 0, from)
		f.place(t, 5)
		c.expectBids(t, first, f.bids)
		// Another subscriber joins the same room, whose list begins later.
		other := f.connect(t, 0, from)
		f.place(t, 5)
		other.expectBids(t, first, f.bids)
	}
}

// A client that was cut off in the middle of a transaction goes on with the transaction's next event.
func TestResumesWithinATransaction(t *testing.T) {
	f := startFeed(t)
	c := f.connect(t, 0, "")
	f.commit(t, []readmodel.Event{f.bid(270), f.bid(270), f.bid(270)})
	second := c.events(t, 3)[1].id
	for range 2 { // from memory, then from Redis
		again := f.connect(t, 0, second)
		again.expectBids(t, 3, 3)
		again.close(t)
		c.close(t)
		testenv.Eventually(t, patience, "the room is empty", func() bool { return f.metric(t, "query_live_subscribers") == 0 })
	}
}

func TestAGapIsAReset(t *testing.T) {
	f := startFeed(t)
	c := f.connect(t, 0, "")
	f.place(t, 1)
	c.expectBids(t, 1, 1)
	c.close(t)
	for range 3 {
		f.place(t, 400)
	}
	f.awaitHub(t, Position{1, id(f.checkpoint.LSN, 0)})
	c = f.connect(t, 0, c.lastID)
	g := c.events(t, 1)[0]
	if g.name != nameReset || !strings.Contains(g.data, `{"raffle_id":7,"min_lsn":"1-0/`) {
		t.Fatalf("got %v, want a reset", g)
	}
	f.place(t, 1)
	c.expectBids(t, f.bids, f.bids)
	// Entries are trimmed before the hub can read them, so subscribers that were never away have a gap, too.
	var burst [][]readmodel.Event
	for range 2 * readmodel.LiveEntries {
		burst = append(burst, []readmodel.Event{f.bid(270)})
	}
	f.commit(t, burst...)
	if g := c.events(t, 1)[0]; g.name != nameReset {
		t.Fatalf("got %v, want a reset", g)
	}
	f.place(t, 1)
	next, err := strconv.ParseInt(c.events(t, 1)[0].data, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	c.expectBids(t, next+1, f.bids)
	if n := f.metric(t, "query_live_resets_total"); n != 2 {
		t.Errorf("%v resets counted", n)
	}
}

func TestAnotherEpochIsAReset(t *testing.T) {
	f := startFeed(t)
	c := f.connect(t, 0, "")
	f.place(t, 2)
	c.expectBids(t, 1, 2)
	old := c.lastID
	f.checkpoint.Epoch = 5
	f.commit(t)
	for _, c := range []*client{c, f.connect(t, 0, old)} {
		if g := c.events(t, 1)[0]; g.name != nameReset || !strings.HasPrefix(g.id, "5.") {
			t.Errorf("got %v, want a reset into epoch 5", g)
		}
	}
	f.place(t, 1)
	c.expectBids(t, 3, 3)
}

func TestAFlushedRedisIsAResetOnceItIsRebuilt(t *testing.T) {
	f := startFeed(t)
	c := f.connect(t, 0, "")
	f.place(t, 2)
	c.expectBids(t, 1, 2)
	if err := f.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	f.awaitHub(t, Position{})
	late := f.connect(t, 0, "") // while there is no checkpoint to begin from
	f.checkpoint.Epoch++
	f.commit(t)
	for _, c := range []*client{c, late} {
		if g := c.events(t, 1)[0]; g.name != nameReset {
			t.Errorf("got %v, want a reset", g)
		}
	}
	f.place(t, 1)
	c.expectBids(t, 3, 3)
	late.expectBids(t, 3, 3)
}

// A restart of Redis that loses nothing, and a pause, reset nobody.
func TestRedisGoesAndComesBack(t *testing.T) {
	f := startFeed(t)
	c := f.connect(t, 0, "")
	f.place(t, 2)
	c.expectBids(t, 1, 2)
	f.redis.Stop(t)
	f.redis.Start(t)
	testenv.EventuallyNoError(t, patience, "redis answers", func() error { return f.rdb.Ping(t.Context()).Err() })
	f.place(t, 2)
	c.expectBids(t, 3, 4)
	f.redis.Pause(t)
	f.awaitHub(t, Position{})
	f.redis.Resume(t)
	f.place(t, 1)
	c.expectBids(t, 5, 5)
}

func TestMoreThanTheLimitOfAnAddressAreRefused(t *testing.T) {
	f := startFeed(t)
	for range f.hub.bounds.OfAddress {
		f.connect(t, 0, "")
	}
	if c := f.connect(t, 0, ""); c.status != http.StatusServiceUnavailable {
		t.Errorf("status %d", c.status)
	}
}
