package e2e

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const (
	liveBids    = 10_000
	liveWriters = 24
	// liveAhead is how many bids the slowest client may be behind, because a raffle's stream keeps only 1,000
	// entries.
	liveAhead = 700
	liveTime  = 90 * time.Second
)

// Every client receives each of 10,000 bids exactly once in the order of their commits, although its instance is
// killed, and the instance to which it then connects is stopped.
func TestLiveFeedExactlyOnceInCommitOrder(t *testing.T) {
	modules := npmClients(t)
	s := startStack(t)
	second, secondURL, _ := s.startQuery(t)
	first := strings.TrimPrefix(s.queryURL, "http://")
	proxy := testenv.StartProxy(t, first)
	s.primary.Exec(t, "SELECT pg_create_logical_replication_slot('order_of_commits', 'test_decoding')")
	f := &flood{stack: s, until: time.Now().Add(liveTime)}
	for _, kind := range []string{"sse", "websocket", "polling"} {
		f.listeners = append(f.listeners, listen(t, modules, kind, "http://"+proxy.Addr(), openRaffle))
	}
	f.awaitJoined(t, 1)
	var work sync.WaitGroup
	for n := range liveWriters {
		bidder := s.session(t, "user"+strconv.Itoa(n+1))
		work.Go(func() { f.write(t, bidder) })
	}
	f.awaitPlaced(t, 3000)
	proxy.SetTarget(strings.TrimPrefix(secondURL, "http://"))
	s.query.Kill(t)
	f.awaitJoined(t, 2)
	f.awaitPlaced(t, 6000)
	s.query.Start(t)
	proxy.SetTarget(first)
	start := time.Now()
	if status := second.Stop(t); status != 0 || time.Since(start) > 5*time.Second {
		t.Errorf("SIGTERM with open feeds: status %d after %v", status, time.Since(start))
	}
	f.awaitJoined(t, 3)
	work.Wait()
	want := s.commits(t)
	if len(want) != liveBids {
		t.Fatalf("%d bids committed, want %d", len(want), liveBids)
	}
	for _, l := range f.listeners {
		testenv.EventuallyNoError(t, 20*time.Second, l.kind+" has all", func() error { return l.holdTo(want) })
	}
}

// flood places bids on one raffle, no faster than the clients receive them.
type flood struct {
	stack     *stack
	listeners []*listener
	until     time.Time
	taken     atomic.Int64
	placed    atomic.Int64
}

func (f *flood) write(t *testing.T, bidder *client.Session) {
	for n := f.taken.Add(1); n <= liveBids; n = f.taken.Add(1) {
		f.awaitListeners(t, n)
		ctx, cancel := context.WithDeadline(context.Background(), f.until)
		_, _, err := bidder.PlaceBid(ctx, openRaffle, client.NewBid{Size: 250 + 5*int(n%11), Price: 1000 + n})
		cancel()
		if err != nil {
			t.Errorf("bid %d: %v", n, err)
			return
		}
		f.placed.Add(1)
	}
}

// awaitListeners makes a writer wait while a client is too far behind.
func (f *flood) awaitListeners(t *testing.T, n int64) {
	for time.Now().Before(f.until) {
		slowest := n
		for _, l := range f.listeners {
			_, bids := l.state()
			slowest = min(slowest, int64(bids))
		}
		if n-slowest < liveAhead {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Error("the clients did not catch up in time")
}

func (f *flood) awaitJoined(t *testing.T, times int) {
	t.Helper()
	for _, l := range f.listeners {
		testenv.EventuallyNoError(t, 20*time.Second, l.kind+" joins", func() error {
			if joined, _ := l.state(); joined < times {
				return fmt.Errorf("joined %d times", joined)
			}
			return nil
		})
	}
}

func (f *flood) awaitPlaced(t *testing.T, n int64) {
	t.Helper()
	testenv.Eventually(t, time.Until(f.until), "bids are placed", func() bool { return f.placed.Load() >= n })
}

var insertedBid = regexp.MustCompile(`^table public\.bids: INSERT: .* id\[bigint\]:(\d+) `)

// commits returns the bids in the order of their commits, as a slot sends them.
func (s *stack) commits(t *testing.T) (ids []int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), "SELECT data FROM pg_logical_slot_get_changes('order_of_commits', NULL, NULL)")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if m := insertedBid.FindStringSubmatch(line); m != nil {
			id, err := strconv.ParseInt(m[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
	}
	return ids
}

// The front door passes the feed on, long polls and websockets included.
func TestLiveFeedThroughTheFrontDoor(t *testing.T) {
	modules := npmClients(t)
	s := startStack(t)
	front := s.frontDoor(t)
	f := &flood{stack: s}
	for _, kind := range []string{"sse", "websocket", "polling"} {
		f.listeners = append(f.listeners, listen(t, modules, kind, front, openRaffle))
	}
	f.awaitJoined(t, 1)
	var want []int64
	bidder := s.session(t, "user1")
	for range 3 {
		want = append(want, bidFive(t, bidder, openRaffle))
	}
	for _, l := range f.listeners {
		testenv.EventuallyNoError(t, 20*time.Second, l.kind+" has all", func() error { return l.holdTo(want) })
	}
}

// The feeds of every client go on by themselves after query was away for longer than a client waits between two
// tries, and after query hung, because the front door answers an EventSource with 200 throughout.
func TestFeedsComeBackThroughTheFrontDoor(t *testing.T) {
	t.Parallel()
	modules := npmClients(t)
	s := startStack(t)
	front := s.frontDoor(t)
	f := &flood{stack: s}
	for _, kind := range []string{"sse", "websocket", "polling"} {
		f.listeners = append(f.listeners, listen(t, modules, kind, front, openRaffle))
	}
	f.awaitJoined(t, 1)
	bidder := s.session(t, "user1")
	var want []int64
	place := func() { want = append(want, bidFive(t, bidder, openRaffle)) }
	haveAll := func() {
		for _, l := range f.listeners {
			testenv.EventuallyNoError(t, 40*time.Second, l.kind+" has all", func() error { return l.holdTo(want) })
		}
	}
	place()
	haveAll()
	s.query.Kill(t)
	place()
	f.awaitRefusals(t, front)
	place()
	s.query.Start(t)
	haveAll()
	s.query.Pause(t)
	f.awaitRefusals(t, front)
	place()
	s.query.Resume(t)
	place()
	haveAll()
}

// bidFive places a bid and returns its id.
func bidFive(t *testing.T, bidder *client.Session, raffle int64) int64 {
	t.Helper()
	bid, _, err := bidder.PlaceBid(t.Context(), raffle, client.NewBid{Size: 270, Price: 5})
	if err != nil {
		t.Fatal(err)
	}
	return bid.ID
}

// awaitRefusals waits until the front door has found query down and an EventSource has had time for several tries.
func (f *flood) awaitRefusals(t *testing.T, front string) {
	t.Helper()
	refused := func() bool {
		a, err := f.stack.do("GET", front+"/v1/raffles/1/live", nil, "Accept", "text/event-stream")
		return err == nil && a.status == http.StatusOK && strings.HasPrefix(string(a.body), "retry: ")
	}
	testenv.Eventually(t, 20*time.Second, "query is found down", refused)
	end := time.Now().Add(6 * time.Second)
	testenv.Eventually(t, 20*time.Second, "clients have tried", func() bool { return refused() && time.Now().After(end) })
}

// frontDoor starts the front door and returns its URL.
func (s *stack) frontDoor(t testing.TB) string {
	t.Helper()
	_, url, _ := testenv.StartFrontDoor(t, testenv.FrontDoor{Command: []testenv.Instance{{Public: s.commandURL, Admin: s.commandAdmin}},
		Query: []testenv.Instance{{Public: s.queryURL, Admin: s.queryAdmin}}})
	return url
}
