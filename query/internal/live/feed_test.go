package live

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/cors"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const (
	raffle   = 7
	patience = 20 * time.Second
)

// feed is a hub before a Redis of its own, into which the test writes as the replicator does.
type feed struct {
	redis      *testenv.Redis
	rdb        *redis.Client
	hub        *Hub
	sockets    *SocketIO
	metrics    *prometheus.Registry
	url        string
	checkpoint readmodel.Checkpoint
	bids       int64

	closed atomic.Pointer[readmodel.Event] // how the raffle closed
	away   atomic.Bool                     // nobody knows whether it is closed
	asked  atomic.Int64                    // how often somebody has asked
}

func startFeed(t testing.TB) *feed {
	t.Helper()
	return startFeedOf(t, encodeShort)
}

func startFeedOf(t testing.TB, data AppendData) *feed {
	t.Helper()
	f := &feed{redis: testenv.StartRedis(t)}
	f.checkpoint = readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "pyramid_1", LSN: 1000, Epoch: 1, Token: "token"}
	f.connectRedis(t)
	f.hub = f.newHub(data)
	f.hub.Closing = f.closing
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- f.hub.Run(ctx) }()
	mux := http.NewServeMux()
	mux.HandleFunc("/", f.serve)
	f.sockets = NewSocketIO(f.hub, joinable, cors.Origins{"https://shop.example.com"})
	mux.HandleFunc("/socket.io/", func(w http.ResponseWriter, r *http.Request) {
		if err := f.sockets.Serve(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	server := httptest.NewServer(mux)
	f.url = server.URL
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		server.Close()
	})
	f.commit(t)
	f.awaitHub(t, Position{1, id(1000, 0)})
	return f
}

// awaitHub waits until the hub has seen a checkpoint, or, with the zero Position, that there is none.
func (f *feed) awaitHub(t testing.TB, at Position) {
	t.Helper()
	testenv.Eventually(t, patience, "the hub is at "+at.String(), func() bool {
		f.hub.mu.Lock()
		defer f.hub.mu.Unlock()
		return f.hub.now == at
	})
}

// joinable knows one raffle.
func joinable(_ context.Context, raffleID int64) string {
	if raffleID != raffle {
		return "there is no such raffle"
	}
	return ""
}

func (f *feed) connectRedis(t testing.TB) {
	t.Helper()
	options, err := redis.ParseURL(f.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	options.ContextTimeoutEnabled, options.MaxRetries = true, -1
	f.rdb = redis.NewClient(options)
	t.Cleanup(func() {
		if err := f.rdb.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (f *feed) newHub(data AppendData) *Hub {
	f.metrics = prometheus.NewRegistry()
	return NewHub(f.rdb, data, Bounds{All: 50, OfAddress: 40}, slog.New(slog.DiscardHandler), f.metrics)
}

// encodeShort is enough to tell events apart.
func encodeShort(dst []byte, _ int64, e *readmodel.Event) []byte {
	return strconv.AppendInt(dst, max(e.Bid.ID, e.ClosedAt), 10)
}

func (f *feed) serve(w http.ResponseWriter, r *http.Request) {
	size, _ := strconv.Atoi(r.FormValue("size"))
	var from Position
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		var err error
		if from, err = ParsePosition(last); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	if err := f.hub.ServeSSE(w, r, raffle, int16(size), from); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// commit writes transactions of the raffle, each with its list of events, and the checkpoint behind them.
func (f *feed) commit(t testing.TB, transactions ...[]readmodel.Event) {
	t.Helper()
	pipe := f.rdb.TxPipeline()
	for _, events := range transactions {
		var packed []byte
		for i := range events {
			packed = events[i].AppendEvent(packed)
		}
		id := readmodel.EventID{LSN: f.checkpoint.LSN + 8, N: uint64(len(events))}
		pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: f.checkpoint.Epoch.Live(raffle), ID: id.String(), MaxLen: readmodel.LiveEntries,
			Approx: true, Values: []any{readmodel.LiveField, packed}})
		f.checkpoint.LSN += 100
	}
	pipe.Set(t.Context(), readmodel.CheckpointKey, f.checkpoint.String(), 0)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// bid makes a bid that is numbered in the order of commits, from 1.
func (f *feed) bid(size int16) readmodel.Event {
	f.bids++
	return readmodel.Event{Kind: readmodel.EventBid, Bid: readmodel.Bid{RaffleID: raffle, ID: f.bids, UserID: 1, Size: size,
		CreatedAt: time.Now().UnixMicro(), Price: 1000, Quantity: 1}}
}

// place commits n bids, a transaction each.
func (f *feed) place(t testing.TB, n int) {
	t.Helper()
	var list [][]readmodel.Event
	for range n {
		list = append(list, []readmodel.Event{f.bid(270)})
	}
	f.commit(t, list...)
}

// got is an event as a client receives it.
type got struct{ name, id, data string }

// client is a connection to the feed.
type client struct {
	status int
	body   io.Closer
	lines  *bufio.Reader
	lastID string
}

func (f *feed) connect(t testing.TB, size int, lastID string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s?size=%d", f.url, size), nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &client{status: response.StatusCode, body: response.Body, lines: bufio.NewReader(response.Body)}
	if c.status == http.StatusOK {
		// Without data the clients of npm would not keep the id.
		if first := c.block(t); first.name != nameStart && first.id != "" || first.id != "" && first.data == "" {
			t.Fatalf("the feed begins with %v", first)
		}
	}
	return c
}

func (c *client) close(t testing.TB) {
	t.Helper()
	if err := c.body.Close(); err != nil {
		t.Error(err)
	}
}

// block reads one block: an event, or an id or a comment only.
func (c *client) block(t testing.TB) (g got) {
	t.Helper()
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			t.Fatalf("after %s: %v", c.lastID, err)
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "event":
			g.name = value
		case "data":
			g.data = value
		case "id":
			g.id, c.lastID = value, value
		case "":
			return g
		}
	}
}

// events reads n events.
func (c *client) events(t testing.TB, n int) (list []got) {
	t.Helper()
	for len(list) < n {
		if g := c.block(t); g.name != "" {
			list = append(list, g)
		}
	}
	return list
}

// expectBids reads bids numbered from first to last, and nothing in between.
func (c *client) expectBids(t testing.TB, first, last int64) {
	t.Helper()
	for i, g := range c.events(t, int(last-first+1)) {
		if want := strconv.FormatInt(first+int64(i), 10); g.name != nameBid || g.data != want {
			t.Fatalf("got %v, want bid %s", g, want)
		}
	}
}

func (f *feed) metric(t testing.TB, name string) (sum float64) {
	t.Helper()
	families, err := f.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}
