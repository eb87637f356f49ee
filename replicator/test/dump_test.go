package test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// item is a line of a dump, as far as the tests look at it.
type item struct {
	ID        int64  `json:"id"`
	RaffleID  int64  `json:"raffle_id"`
	UserID    int64  `json:"user_id"`
	Price     int64  `json:"price"`
	Size      int16  `json:"size"`
	CreatedAt string `json:"created_at"`
	Sentinel  string `json:"sentinel"`
	Event     string `json:"event"`
	Epoch     uint64 `json:"epoch"`
	Bid       *struct {
		ID int64 `json:"id"`
	} `json:"bid"`
}

// dumped returns the items of a key.
func (s *system) dumped(args ...string) (items []item) {
	s.t.Helper()
	status, output := s.command(append([]string{"dump"}, args...)...)
	if status != 0 {
		s.t.Fatalf("dump %s: exit status %d\n%s", args, status, output)
	}
	for line := range strings.Lines(output) {
		var i item
		s.must(json.Unmarshal([]byte(line), &i))
		items = append(items, i)
	}
	return items
}

// ids returns the ids of the bids that a query returns.
func (s *system) ids(sql string) []int64 {
	s.t.Helper()
	rows, err := s.db.Query(s.ctx, sql)
	s.must(err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	s.must(err)
	return all
}

func idsOf(items []item) (ids []int64) {
	for _, i := range items {
		if i.Sentinel == "" {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

func TestDumpPrintsEveryKeyAsThePrimaryHasIt(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(100)
	testenv.Eventually(t, patience, "the first copy", s.streaming)
	s.exec("INSERT INTO bids (raffle_id, user_id, size, price, quantity, created_at) SELECT 1, i % 50 + 1, 270, 1 + i % 7, 1, clock_timestamp() FROM generate_series(1, 2000) i")
	s.exec("DELETE FROM bids WHERE raffle_id = 1 AND size = 270 AND id % 10 = 0")
	s.exec("UPDATE raffles SET closed_at = clock_timestamp(), closing_price = 7 WHERE id = 1")
	cp := s.reached()

	for key, order := range map[string]string{"{r1}:*:n:270": "created_at DESC, id DESC", "{r1}:*:h:270": "price DESC, created_at, id"} {
		items := s.dumped(key)
		want := s.ids("SELECT id FROM bids WHERE raffle_id = 1 AND size = 270 ORDER BY " + order)
		if !slices.Equal(idsOf(items), want) {
			t.Errorf("%s has %d bids, want the %d of the primary in its order", key, len(idsOf(items)), len(want))
		}
		if items[0].Sentinel != readmodel.Sentinel || items[1].RaffleID != 1 || items[1].Size != 270 || items[1].UserID == 0 || items[1].Price == 0 ||
			!strings.HasSuffix(items[1].CreatedAt, "Z") {
			t.Errorf("%s begins with %+v", key, items[:2])
		}
	}
	if few := s.dumped("--limit", "3", cp.Epoch.Newest(1, 270)); len(few) != 3 {
		t.Errorf("%+v", few)
	}
	newest := s.dumped("--limit", "20", "{s270}:*:newest")
	if want := s.ids("SELECT id FROM bids WHERE size = 270 ORDER BY created_at DESC, id DESC LIMIT 19"); !slices.Equal(idsOf(newest), want) {
		t.Errorf("%v, want %v", idsOf(newest), want)
	}
	if got, want := idsOf(s.dumped("{raffles}:*")), s.ids("SELECT id FROM raffles ORDER BY ends_at DESC, id DESC"); !slices.Equal(got, want) {
		t.Errorf("raffles %v, want %v", got, want)
	}
	products := idsOf(s.dumped("{products}:*"))
	slices.Sort(products)
	if want := s.ids("SELECT id FROM products ORDER BY id"); !slices.Equal(products, want) {
		t.Errorf("products %v, want %v", products, want)
	}
	s.dumpedOthers(cp)
}

// dumpedOthers looks at the keys that are no lists of rows.
func (s *system) dumpedOthers(cp readmodel.Checkpoint) {
	s.t.Helper()
	var sizes []int64
	for _, i := range s.dumped("{r1}:*:sizes") {
		if i.Sentinel == "" {
			sizes = append(sizes, int64(i.Size))
		}
	}
	slices.Sort(sizes)
	if want := s.ids("SELECT DISTINCT size::bigint FROM bids WHERE raffle_id = 1 ORDER BY 1"); !slices.Equal(sizes, want) {
		s.t.Errorf("sizes %v, want %v", sizes, want)
	}
	events := make(map[string]int)
	for _, i := range s.dumped("{r1}:*:live") {
		events[i.Event]++
		if (i.Event == "bid" || i.Event == "cancel") && (i.Bid == nil || i.Bid.ID == 0) {
			s.t.Errorf("an event without its bid: %+v", i)
		}
	}
	if events["bid"] < 2000 || events["cancel"] < 200 || events["close"] != 1 {
		s.t.Errorf("%v", events)
	}
	stored := s.dumped(readmodel.CheckpointKey)
	if len(stored) != 1 || stored[0].Epoch != uint64(cp.Epoch) {
		s.t.Errorf("%+v is not of epoch %d", stored, cp.Epoch)
	}
	s.expect("dump {r1}:*:raffle", 0, `"id":1,`, `"closed_at":"2`)
	s.expect("dump {s270}:*:floor", 0, `{"floor":0}`)
	s.expect("dump {raffles}:*:version", 0, `{"version":"`)
	s.expect("dump pyramid:evictions", 0, `"evicted_keys":0`)
	s.must(s.redis.SAdd(s.ctx, readmodel.PoisonedKey, "raffle 3").Err())
	s.expect("dump pyramid:poisoned", 0, `{"part":"raffle 3"}`)
	s.must(s.redis.ZAdd(s.ctx, cp.Epoch.Newest(9999, 270), redis.Z{Member: "x"}).Err())
	s.expect("dump {r9999}:*:n:270", 1, `{"unreadable":"78"`, "1 of 1 items can't be read")
	s.expect("dump {r1}:*:bids", 2, "no key of this name", "{rRAFFLE}:E:n:SIZE")
	s.expect("dump {r77}:*:raffle", 1, "redis has no such key")
	s.expect("dump --json {r77}:*:raffle", 1, `"error": "`)
	s.expect("dump --json {s270}:*:floor", 0, `{"floor":0}`)
	s.expect("dump", 2, "one KEY")
}
