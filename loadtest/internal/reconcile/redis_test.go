package reconcile

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
)

// bids are those of the given ids: the higher the id, the later and the higher the price.
func bids(ids ...int64) (all []shown) {
	for _, id := range ids {
		all = append(all, shown{ID: id, Raffle: 1, User: 1, Size: 270, Price: 1000, Quantity: 1, Created: time.UnixMicro(second + id).UTC()})
	}
	return all
}

// readAPI answers pages of two bids in each order, and a raffle that counts its bids.
func readAPI(t *testing.T, sets map[string][]shown, count int, lag string) *client.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Read-Path") != "redis" || r.Header.Get("Min-LSN") != "0/1" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("Read-Path", "redis")
		w.Header().Set("Read-Lag-Ms", lag)
		if r.URL.Path == "/v1/raffles/1" {
			_, _ = fmt.Fprintf(w, `{"sizes":[{"size":270,"count":%d,"highest":1000}]}`, count)
			return
		}
		all := sets[r.URL.Query().Get("order")]
		var from int
		_, _ = fmt.Sscan(r.URL.Query().Get("cursor"), &from)
		p := page{Bids: all[min(from, len(all)):min(from+2, len(all))]}
		if from+2 < len(all) {
			p.Next = fmt.Sprint(from + 2)
		}
		_ = json.NewEncoder(w).Encode(p)
	}))
	t.Cleanup(s.Close)
	door := client.New(s.URL)
	t.Cleanup(door.Close)
	return door
}

// P1, R1: what Redis lacks, has twice, alone, altered or out of place is found in either order, also behind the first page.
func TestRedisIsHeldAgainstTheJournal_P1_R1(t *testing.T) {
	url := stored(t, map[int64]string{50: "", 101: "k-0", 102: "k-1", 103: "k-2", 104: "k-3"})
	l, err := Load(written(t, "k", 100, acknowledged(0, 101), acknowledged(1, 102), acknowledged(2, 103), sent(3, Unknown)))
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := l.Postgres(t.Context(), url, ignore); !r.Clean() {
		t.Fatalf("%+v", r)
	}
	// All have one price, so the highest are the oldest ones.
	newest, highest := bids(104, 103, 102, 101, 50, 49), bids(49, 50, 101, 102, 103, 104)
	dear := bids(103)
	dear[0].Price = 2000
	for name, c := range map[string]struct {
		newest, highest                                 []shown
		count                                           int
		stored, lost, doubled, strange, altered, astray int64
	}{
		"all there":              {newest, highest, 6, 4, 0, 0, 0, 0, 0},
		"one lacks":              {bids(104, 103, 102, 50, 49), bids(49, 50, 102, 103, 104), 5, 3, 1, 0, 0, 0, 0},
		"one lacks by price":     {newest, bids(49, 50, 101, 102, 103), 5, 3, 1, 0, 0, 0, 0},
		"one is there twice":     {bids(104, 103, 103, 102, 101, 50), highest, 6, 4, 0, 1, 0, 0, 1},
		"one is in Redis alone":  {bids(105, 104, 103, 102, 101, 50), highest, 6, 4, 0, 0, 1, 0, 0},
		"one has another price":  {append(append(bids(104), dear...), bids(102, 101, 50)...), highest, 6, 4, 0, 0, 0, 1, 0},
		"two have changed place": {newest, bids(49, 50, 102, 101, 103, 104), 6, 4, 0, 0, 0, 0, 1},
		"the count is wrong":     {newest, highest, 7, 4, 0, 0, 0, 0, 1},
	} {
		r := l.Redis(t.Context(), readAPI(t, map[string][]shown{"newest": c.newest, "highest": c.highest}, c.count, "0"), "0/1", ignore)
		got := []int64{r.Stored, r.Lost, r.Doubled, r.Unexpected, r.Altered, r.Misplaced}
		if want := []int64{c.stored, c.lost, c.doubled, c.strange, c.altered, c.astray}; !slices.Equal(got, want) || r.Problem != "" || r.Clean() != (name == "all there") {
			t.Errorf("%s: %v, want %v: %+v", name, got, want, r)
		}
	}
}

func TestPagesAreJudged_R2(t *testing.T) {
	e := acknowledged(0, 7)
	dear := e
	dear.Price++
	page := func(next string, list []shown) []byte {
		raw, err := json.Marshal(page{Bids: list, Next: next})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, c := range map[string]struct {
		body  []byte
		entry Entry
		want  bool
	}{
		"there":                   {page("", bids(8, 7, 6)), e, true},
		"absent":                  {page("", bids(8, 6)), e, false},
		"absent from a full page": {page("more", bids(8, 6)), e, false},
		"pushed out by newer":     {page("more", bids(9, 8)), e, true},
		"at another price":        {page("", bids(7)), dear, false},
		"out of order":            {page("", bids(6, 7)), e, false},
		"empty":                   {page("", nil), e, false},
		"no page":                 {[]byte("x"), e, false},
	} {
		if got := c.entry.ShownByNewest(c.body); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !Newest.Sorted(page("", bids(3, 2, 1))) || Highest.Sorted(page("", bids(3, 2, 1))) || !Highest.Sorted(page("", bids(1, 2, 3))) || !Newest.Sorted(page("", nil)) {
		t.Error("orders are confused")
	}
}

// A cancelled bid must be in no store. A bid that is perhaps cancelled must be in both stores or in none.
func TestCancelledBidsAreNowhere_W1_P1(t *testing.T) {
	cancelled := func(e Entry, s State) Entry {
		e.State = s
		return e
	}
	entries := []Entry{acknowledged(0, 101), acknowledged(1, 102), acknowledged(2, 103), acknowledged(3, 104),
		cancelled(acknowledged(1, 102), Cancelled), cancelled(acknowledged(2, 103), PerhapsCancelled), cancelled(acknowledged(3, 104), PerhapsCancelled)}
	for name, c := range map[string]struct {
		rows              map[int64]string
		redis             []int64 // newest first
		postgres, redisOK bool
	}{
		"as it should be":             {map[int64]string{101: "k-0", 104: "k-3"}, []int64{104, 101}, true, true},
		"still in Postgres":           {map[int64]string{101: "k-0", 102: "k-1", 104: "k-3"}, []int64{104, 102, 101}, false, true},
		"still in Redis":              {map[int64]string{101: "k-0", 104: "k-3"}, []int64{104, 102, 101}, true, false},
		"perhaps, in Redis alone":     {map[int64]string{101: "k-0", 104: "k-3"}, []int64{104, 103, 101}, true, false},
		"perhaps, in Postgres alone":  {map[int64]string{101: "k-0", 104: "k-3"}, []int64{101}, true, false},
		"the one that was kept, lost": {map[int64]string{104: "k-3"}, []int64{104}, false, false},
	} {
		url := stored(t, c.rows)
		l, err := Load(written(t, "k", 100, entries...))
		if err != nil {
			t.Fatal(err)
		}
		r, _ := l.Postgres(t.Context(), url, ignore)
		highest := slices.Clone(c.redis)
		slices.Reverse(highest)
		sets := map[string][]shown{"newest": bids(c.redis...), "highest": bids(highest...)}
		copied := l.Redis(t.Context(), readAPI(t, sets, len(c.redis), "0"), "0/1", ignore)
		if l.Entries() != 4 || !l.Complete() || r.Clean() != c.postgres || copied.Clean() != c.redisOK {
			t.Errorf("%s: %d entries; Postgres %+v, Redis %+v", name, l.Entries(), r, copied)
		}
	}
}
