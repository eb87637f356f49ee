package live

import (
	"context"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// M12: an entry that can't be read, and a key that is no stream, concern their own raffle only.
func TestOneUnreadableEntryConcernsItsOwnRaffleOnly_M12(t *testing.T) {
	f := startFeed(t)
	f.sockets.check = func(context.Context, int64) string { return "" }
	well := f.connect(t, 0, "")
	bad := f.socket(t)
	sendSocket(t, bad, `42/raffles,["join",{"raffle_id":8}]`)
	wrong := f.socket(t)
	sendSocket(t, wrong, `42/raffles,["join",{"raffle_id":9}]`)
	testenv.Eventually(t, patience, "all have joined", func() bool { return f.metric(t, "query_live_subscribers") == 3 })
	if err := f.rdb.Set(t.Context(), f.checkpoint.Epoch.Live(9), "no stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	f.garbage(t, 8, "1500-1", "\x01")
	f.place(t, 3)
	well.expectBids(t, 1, 3)
	expectSocket(t, bad, `42/raffles,["reset",{"raffle_id":8,"min_lsn":"1-0/5DD"},"1.1500-1"]`)
	// What comes behind is sent.
	one := f.bid(270)
	f.garbage(t, 8, "1600-1", string(one.AppendEvent(nil)))
	expectSocket(t, bad, `42/raffles,["bidList",[4],"1.1600-1"]`)
	if n := f.metric(t, "query_live_unreadable_total"); n != 2 {
		t.Errorf("%v counted, want an entry and a stream", n)
	}
	// Once the key is gone, its raffle's feed works as well.
	if err := f.rdb.Del(t.Context(), f.checkpoint.Epoch.Live(9)).Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "the feed is believed again", func() bool {
		f.hub.mu.Lock()
		defer f.hub.mu.Unlock()
		return f.hub.rooms[9].unreadable.IsZero()
	})
	f.garbage(t, 9, "1700-1", string(one.AppendEvent(nil)))
	expectSocket(t, wrong, `42/raffles,["bidList",[4],"1.1700-1"]`)
	well.close(t)
}

func (f *feed) garbage(t testing.TB, raffleID int64, id, packed string) {
	t.Helper()
	err := f.rdb.Do(t.Context(), "XADD", f.checkpoint.Epoch.Live(raffleID), id, readmodel.LiveField, packed).Err()
	if err != nil {
		t.Fatal(err)
	}
}

// A newer replicator may write kinds of events that this build does not know: they are skipped.
func TestUnknownKindsOfEventsAreSkipped(t *testing.T) {
	f := startFeed(t)
	c := f.connect(t, 0, "")
	news := readmodel.Event{Kind: 'p', Packed: "the price of a later build"}
	f.commit(t, []readmodel.Event{f.bid(270), news, f.bid(270)}, []readmodel.Event{news}, []readmodel.Event{f.bid(270)})
	c.expectBids(t, 1, 3)
	if c.lastID != "1.1208-1" {
		t.Errorf("the feed is at %s", c.lastID)
	}
	// One of which nothing is left is behind the hub as well: else it would be read again and again.
	f.commit(t, []readmodel.Event{news})
	testenv.Eventually(t, patience, "the hub is behind it", func() bool {
		f.hub.mu.Lock()
		defer f.hub.mu.Unlock()
		return f.hub.rooms[raffle].pending.last == Position{1, id(1308, 1)}
	})
}

// The stream itself may say that something happened which it can't tell.
func TestAResetInTheStreamIsPassedOn(t *testing.T) {
	f := startFeed(t)
	c := f.connect(t, 250, "")
	f.commit(t, []readmodel.Event{f.bid(250), {Kind: readmodel.EventReset}, f.bid(250)})
	for i, want := range []got{{nameBid, "1.1008-1", "1"}, {nameReset, "1.1008-2", `{"raffle_id":7,"min_lsn":"1-0/3F1"}`}, {nameBid, "1.1008-3", "2"}} {
		if g := c.events(t, 1)[0]; g != want {
			t.Errorf("event %d is %v, want %v", i, g, want)
		}
	}
}
