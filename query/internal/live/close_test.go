package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

var theClose = readmodel.Event{Kind: readmodel.EventClose, ClosedAt: 99}

var errAway = errors.New("no path answers")

// closing is what the feed's hub asks.
func (f *feed) closing(context.Context, int64, lsn.Position) (*readmodel.Event, error) {
	f.asked.Add(1)
	if f.away.Load() {
		return nil, errAway
	}
	return f.closed.Load(), nil
}

// expectEnd reads the events, the last of which is the close, and then the end of the feed.
func (c *client) expectEnd(t testing.TB, events ...string) {
	t.Helper()
	for i, g := range c.events(t, len(events)) {
		if got := g.name + " " + g.data; got != events[i] && (g.name != nameReset || events[i] != nameReset) {
			t.Errorf("event %d is %s, want %s", i, got, events[i])
		}
	}
	if rest, err := io.ReadAll(c.lines); err != nil || string(rest) != comeBackNever {
		t.Errorf("behind the close comes %q, %v", rest, err)
	}
}

// The close of a raffle ends its feeds, also those of a size.
func TestTheCloseEndsTheFeed(t *testing.T) {
	f := startFeed(t)
	all, one := f.connect(t, 0, ""), f.connect(t, 250, "")
	p := f.poll(t)
	p.send(t, `42/raffles,1["join",{"raffle_id":7}]`)
	p.expect(t, `43/raffles,1[{"last_event_id":"1.1000-0","raffle_id":7}]`)
	f.commit(t, []readmodel.Event{f.bid(270)}, []readmodel.Event{theClose})
	all.expectEnd(t, "bid 1", "close 99")
	one.expectEnd(t, "close 99")
	p.expect(t, `42/raffles,["bidList",[1],"1.1008-1"]`)
	p.expect(t, `42/raffles,["close",99,"1.1108-1"]`)
	testenv.Eventually(t, patience, "all subscriptions end", func() bool { return f.metric(t, "query_live_subscribers") == 0 })
}

// The feed of a closed raffle has what the client has missed, the close once, and an end.
func TestAFeedOfAClosedRaffleEnds(t *testing.T) {
	f := startFeed(t)
	f.place(t, 2)
	f.place(t, pageEntries)
	f.commit(t, []readmodel.Event{theClose})
	f.closed.Store(&theClose)
	f.awaitHub(t, Position{1, id(f.checkpoint.LSN, 0)})
	last := Position{1, id(f.checkpoint.LSN-92, 1)}
	var missed []string
	for n := range pageEntries + 1 {
		missed = append(missed, "bid "+strconv.Itoa(n+2))
	}
	f.connect(t, 0, "").expectEnd(t, "close 99")
	f.connect(t, 0, "1.1008-1").expectEnd(t, append(missed, "close 99")...)
	f.connect(t, 250, "1.1008-1").expectEnd(t, "close 99")
	f.connect(t, 0, last.String()).expectEnd(t, "close 99")
	f.connect(t, 0, "2.5-1").expectEnd(t, nameReset, "close 99")
	if err := f.rdb.Del(t.Context(), f.checkpoint.Epoch.Live(raffle)).Err(); err != nil {
		t.Fatal(err)
	}
	f.connect(t, 0, last.String()).expectEnd(t, nameReset, "close 99")
	p := f.poll(t)
	at := Position{1, id(f.checkpoint.LSN, 0)}
	for range maxJoined + 1 { // ended feeds take no place
		p.send(t, `42/raffles,1["join",{"raffle_id":7}]`)
		p.expect(t, fmt.Sprintf(`43/raffles,1[{"last_event_id":"%s","raffle_id":7}]`, at))
		p.expect(t, fmt.Sprintf(`42/raffles,["close",99,"%s"]`, at))
	}
}

// A feed that was reset may have missed the close, so it asks for it, again and again until it knows.
func TestAResetFeedAsksForTheClose(t *testing.T) {
	f := startFeed(t)
	c := f.connect(t, 0, "")
	testenv.Eventually(t, patience, "the feed has asked", func() bool { return f.asked.Load() == 1 })
	f.away.Store(true)
	f.checkpoint.Epoch = 2
	f.commit(t)
	if got := c.events(t, 1)[0]; got.name != nameReset {
		t.Fatalf("got %v", got)
	}
	testenv.Eventually(t, patience, "the feed has asked again", func() bool { return f.asked.Load() == 2 })
	f.closed.Store(&theClose)
	f.away.Store(false)
	f.place(t, 1)
	c.expectEnd(t, "bid 1", "close 99")
}

func TestLeaveEndsAFeed(t *testing.T) {
	f := startFeed(t)
	p := f.poll(t)
	p.send(t, `42/raffles,1["join",{"raffle_id":7}]`)
	p.expect(t, `43/raffles,1[{"last_event_id":"1.1000-0","raffle_id":7}]`)
	for range 2 {
		p.send(t, `42/raffles,2["leave",{"raffle_id":7}]`)
		p.expect(t, `43/raffles,2[{"raffle_id":7}]`)
	}
	if n := f.metric(t, "query_live_subscribers"); n != 0 {
		t.Errorf("%v subscribers", n)
	}
}

// Whatever a client emits is answered, so that it does not wait for ever.
func TestEveryEventIsAnswered(t *testing.T) {
	f := startFeed(t)
	p := f.poll(t)
	for packet, want := range map[string]string{
		`["leave"]`:                         "leave needs an object with raffle_id",
		`["leave",7]`:                       "leave needs an object with raffle_id",
		`["leave",{}]`:                      "leave: raffle_id must be a whole number from 1 up",
		`["leave",{"raffle_id":0}]`:         "leave: raffle_id must be a whole number from 1 up",
		`["leave",{"raffle_id":7,"all":1}]`: `leave does not know "all"`,
		`["part",{"raffle_id":7}]`:          `there is no event "part", only join and leave`,
		`[5]`:                               `there is no event "", only join and leave`,
	} {
		p.send(t, `42/raffles,`+packet)
		p.expect(t, fmt.Sprintf(`42/raffles,["error",{"message":%s}]`, quoted(want)))
		p.send(t, `42/raffles,5`+packet)
		p.expect(t, fmt.Sprintf(`43/raffles,5[{"error":%s}]`, quoted(want)))
	}
	p.send(t, "40")
	p.expect(t, `40{"sid":"`+p.session(t)+`"}`)
	p.send(t, `429["join",{"raffle_id":7}]`)
	p.expect(t, `439[{"error":"join and leave are events of the namespace /raffles"}]`)
}
