package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/command/internal/raffle"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// W3: in the order of commits, a raffle's close comes after all its bids and cancellations, also if an admin closes the
// raffle. A bid's time is before the raffle's end. The closing price is the highest price before the close.
func TestOrderOfCommits_W3(t *testing.T) {
	s := newService(t)
	const first, byAdmin, byTime = 101, 20, 10
	s.db.Exec(t, "UPDATE raffles SET closed_at = now() WHERE id = $1", fixture.Over)
	s.db.Exec(t, `INSERT INTO raffles (id, product_id, seller_id, starts_at, ends_at)
		SELECT n, 1, 1, now() - interval '1 s', now() + interval '1 day' FROM generate_series($1::int, $2::int) n`, first, first+byAdmin+byTime-1)
	s.db.Exec(t, "SELECT pg_create_logical_replication_slot('order_of_commits', 'test_decoding')")
	reg := prometheus.NewRegistry()
	server := fixture.Primary(t, s.db)
	closer := raffle.NewCloser(server, raffle.NewStore(server, reg), slog.New(slog.DiscardHandler), reg)
	ctx, stop := context.WithCancel(t.Context())
	var closing sync.WaitGroup
	closing.Go(func() {
		if err := closer.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	defer closing.Wait()
	defer stop()
	var c crowd
	for id := int64(first); id < first+byAdmin+byTime; id++ {
		target := c.placed.Load() + 300
		var clients sync.WaitGroup
		for n := range 200 {
			clients.Go(func() { c.bidUntilClosed(s, id, int64(1+n%fixture.Users)) })
		}
		testenv.Eventually(t, 30*time.Second, "bids come in", func() bool { return c.placed.Load() > target })
		if id < first+byAdmin {
			s.admin(fmt.Sprintf("/v1/raffles/%d/close", id), "").raffle(t, http.StatusOK)
		} else {
			s.db.Exec(t, "UPDATE raffles SET ends_at = clock_timestamp() + interval '100 ms' WHERE id = $1", id)
		}
		clients.Wait()
	}
	h := readHistory(t, s.db)
	testenv.Eventually(t, 5*time.Second, "the closer is done", func() bool {
		h.read(t)
		return len(h.closed) == byAdmin+byTime
	})
	t.Logf("%d bids placed, %d cancelled", c.placed.Load(), c.cancelled.Load())
	if h.inserted != c.placed.Load() || h.cancelled != c.cancelled.Load() || h.cancelled == 0 {
		t.Errorf("%d bids in the stream, %d answered; %d cancelled, %d answered", h.inserted, c.placed.Load(), h.cancelled, c.cancelled.Load())
	}
	if late := fixture.Count(t, s.db, "SELECT (extract(epoch FROM max(closed_at - ends_at)) * 1000)::bigint FROM raffles WHERE id > $1", first); late > 1000 {
		t.Errorf("closed %d ms late", late)
	}
}

// crowd counts what the clients of all raffles have done.
type crowd struct{ price, placed, cancelled atomic.Int64 }

// bidUntilClosed bids and now and then cancels, until it is told that the raffle is over. The prices rise, so that
// the last bid before the close decides the closing price.
func (c *crowd) bidUntilClosed(s *service, raffleID, user int64) {
	for {
		price := c.price.Add(1)
		r, err := s.api.Bids.Place(s.t.Context(), bid.Bid{RaffleID: raffleID, UserID: user, Size: int16(250 + 5*(price%11)), Price: int32(price), Quantity: 1})
		switch {
		case errors.Is(err, bid.ErrNotOpen):
			return
		case errors.Is(err, bid.ErrBusy), errors.Is(err, bid.ErrLocked), errors.Is(err, bid.ErrUnavailable):
			continue
		case err != nil:
			s.t.Error(err)
			return
		}
		c.placed.Add(1)
		if price%20 > 0 {
			continue
		}
		switch _, err := s.api.Cancels.Cancel(s.t.Context(), raffleID, r.Placed.ID, user); {
		case err == nil:
			c.cancelled.Add(1)
		case !errors.Is(err, bid.ErrNotOpen) && !errors.Is(err, bid.ErrBusy) && !errors.Is(err, bid.ErrLocked) && !errors.Is(err, bid.ErrUnavailable):
			s.t.Error(err)
		}
	}
}

// history is the state of the raffles after the commits that a slot has shown so far, in their order.
type history struct {
	conn      *pgx.Conn
	bids      map[string]map[string]int // prices by raffle and bid
	closed    map[string]bool
	latest    map[string]time.Time
	inserted  int64
	cancelled int64
}

var column = regexp.MustCompile(`(\w+)\[[a-z ]+\]:('[^']*'|\S+)`)

func readHistory(t testing.TB, db *testenv.Database) *history {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &history{conn: conn, bids: map[string]map[string]int{}, closed: map[string]bool{}, latest: map[string]time.Time{}}
}

// read applies the commits since the last call.
func (h *history) read(t testing.TB) {
	t.Helper()
	rows, err := h.conn.Query(t.Context(), "SELECT data FROM pg_logical_slot_get_changes('order_of_commits', NULL, NULL)")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		_, after, _ := strings.Cut(line, "new-tuple:")
		if after == "" {
			after = line
		}
		row := map[string]string{}
		for _, m := range column.FindAllStringSubmatch(after, -1) {
			row[m[1]] = strings.Trim(m[2], "'")
		}
		switch {
		case strings.HasPrefix(line, "table public.bids: INSERT"):
			h.insert(t, row)
		case strings.HasPrefix(line, "table public.bids: DELETE"):
			h.remove(t, row)
		case strings.HasPrefix(line, "table public.raffles: UPDATE") && row["closed_at"] != "null":
			h.close(t, row)
		}
	}
}

func (h *history) insert(t testing.TB, row map[string]string) {
	h.inserted++
	id := row["raffle_id"]
	if h.closed[id] {
		t.Errorf("W3: a bid was committed after the close: %v", row)
	}
	if h.bids[id] == nil {
		h.bids[id] = map[string]int{}
	}
	price, err := strconv.Atoi(row["price"])
	if err != nil {
		t.Fatal(err)
	}
	h.bids[id][row["id"]] = price
	if at := instant(t, row["created_at"]); at.After(h.latest[id]) {
		h.latest[id] = at
	}
}

func (h *history) remove(t testing.TB, row map[string]string) {
	h.cancelled++
	if h.closed[row["raffle_id"]] {
		t.Errorf("W3: a bid was cancelled after the close: %v", row)
	}
	delete(h.bids[row["raffle_id"]], row["id"])
}

func (h *history) close(t testing.TB, row map[string]string) {
	id, highest := row["id"], 0
	for _, price := range h.bids[id] {
		highest = max(highest, price)
	}
	if row["closing_price"] != strconv.Itoa(highest) || h.closed[id] {
		t.Errorf("W3: raffle %s closed (before: %v) at %s, the highest bid is %d", id, h.closed[id], row["closing_price"], highest)
	}
	if at := h.latest[id]; !at.Before(instant(t, row["ends_at"])) || at.After(instant(t, row["closed_at"])) {
		t.Errorf("W3: a bid of %v in raffle %v", at, row)
	}
	h.closed[id] = true
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05.999999-07", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
