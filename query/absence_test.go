package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// absent are requests for what does not exist, with the status that says so.
var absent = map[string]int{
	"/v1/raffles/4711": http.StatusNotFound, "/v1/raffles/4711/bids?size=270": http.StatusNotFound,
	"/v1/raffles/4711/bids": http.StatusNotFound, "/v1/raffles/4711/best": http.StatusNotFound,
	"/v1/raffles/4711/bids?size=270&order=highest": http.StatusNotFound, "/v1/raffles/4711/live": http.StatusNotFound,
	"/v1/bids?size=31000": http.StatusOK, "/v1/products/4711": http.StatusNotFound,
}

// R8: what does not exist is known without SQL.
func TestAbsenceIsKnownFromRedis_R8(t *testing.T) {
	s := startStack(t)
	for _, p := range []string{"replica", "standby", "primary"} {
		for path, status := range absent {
			s.expect(t, status, p, path, "Read-Path", p)
		}
	}
	before := s.sqlTries(t)
	for path, status := range absent {
		if a := s.expect(t, status, "redis", path); strings.HasPrefix(path, "/v1/bids") && a.body != `{"bids":[],"next_cursor":null}`+"\n" {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if n := s.sqlTries(t); n != before {
		t.Errorf("R8: SQL was asked %d times for what does not exist", n-before)
	}
	s.insertRaffle(t, 4711)
	s.expect(t, http.StatusOK, "redis", "/v1/raffles/4711")
	s.expect(t, http.StatusOK, "redis", "/v1/raffles/4711/bids?size=270")
	s.expect(t, http.StatusOK, "redis", "/v1/raffles?limit=1")
}

func (s *stack) sqlTries(t testing.TB) (n uint64) {
	t.Helper()
	for _, p := range allPaths[1:] {
		n += s.tries(t, p, "answered")
	}
	return n
}

// insertRaffle makes a raffle everywhere.
func (s *stack) insertRaffle(t testing.TB, id int64) {
	t.Helper()
	text := strconv.FormatInt(id, 10)
	s.exec(t, `INSERT INTO raffles (id, product_id, seller_id, starts_at, ends_at) OVERRIDING SYSTEM VALUE
		VALUES (`+text+`, 1, 1, now() - interval '1 hour', now() + interval '1 year')`)
	r := collect(t, s, "SELECT id, product_id, seller_id, "+micros("starts_at")+", "+micros("ends_at")+`, 0::bigint, 0
		FROM raffles WHERE id = `+text, pgx.RowToStructByPos[readmodel.Raffle])[0]
	e, pipe, member := s.checkpoint.Epoch, s.rdb.Pipeline(), string(r.AppendMember(nil))
	pipe.ZAdd(t.Context(), e.Raffles(), z(member, r.EndScore()))
	pipe.Set(t.Context(), e.Raffle(id), member, 0)
	pipe.SAdd(t.Context(), e.Sizes(id), readmodel.RaffleKnown)
	pipe.Set(t.Context(), e.RafflesVersion(), s.lsn(t).String(), 0)
	s.advance(t, pipe)
}

// R1: a set that is lost, or was begun anew, proves neither that a raffle does not exist nor that a size has no bids.
func TestWhatIsLostIsNotAbsent_R1(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	e := s.checkpoint.Epoch
	const raffle = "/v1/raffles/5"
	paths := []string{raffle, raffle + "/bids?size=270", raffle + "/bids", raffle + "/best"}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	loseRaffle := func() { must(s.rdb.Del(t.Context(), e.Raffle(5), e.Sizes(5)).Err()) }
	change := func() { must(s.rdb.Append(t.Context(), e.RafflesVersion(), "+").Err()) }
	for _, c := range []struct {
		name   string
		breaks func()
		asks   []string
	}{
		{"keys of the raffle", loseRaffle, paths},
		{"keys of the raffle, after the list has changed", func() { loseRaffle(); change() }, paths},
		{"list of raffles", func() { loseRaffle(); must(s.rdb.Del(t.Context(), e.Raffles()).Err()) }, append(paths, "/v1/raffles/4711")},
		{"list of raffles and version", func() {
			loseRaffle()
			must(s.rdb.Del(t.Context(), e.Raffles(), e.RafflesVersion()).Err())
		}, append(paths, "/v1/raffles/4711")},
		{"list of raffles, begun anew", func() {
			loseRaffle()
			member := s.rdb.ZRange(t.Context(), e.Raffles(), 1, 1).Val()[0]
			must(s.rdb.Del(t.Context(), e.Raffles()).Err())
			must(s.rdb.ZAdd(t.Context(), e.Raffles(), z(member, 1)).Err())
			change()
		}, append(paths, "/v1/raffles/4711")},
		{"version of the list", func() { loseRaffle(); must(s.rdb.Del(t.Context(), e.RafflesVersion()).Err()) }, append(paths, "/v1/raffles/4711")},
		{"all sizes", func() { must(s.rdb.Del(t.Context(), e.AllSizes(), e.SizeNewest(270)).Err()) }, []string{"/v1/bids?size=270", "/v1/bids?size=31000"}},
		{"all sizes, begun anew", func() {
			must(s.rdb.Del(t.Context(), e.AllSizes(), e.SizeNewest(270)).Err())
			must(s.rdb.SAdd(t.Context(), e.AllSizes(), "260").Err())
		}, []string{"/v1/bids?size=270", "/v1/bids?size=31000"}},
		{"newest of a size", func() { must(s.rdb.Del(t.Context(), e.SizeNewest(270)).Err()) }, []string{"/v1/bids?size=270"}},
		{"size out of all sizes, bids there", func() {
			must(s.rdb.SRem(t.Context(), e.AllSizes(), "270").Err())
			must(s.rdb.ZRem(t.Context(), e.SizeNewest(270), readmodel.Sentinel).Err())
		}, []string{"/v1/bids?size=270"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.expect(t, http.StatusNotFound, "redis", "/v1/raffles/4711") // so that there is a catalogue
			c.breaks()
			for _, ask := range c.asks {
				status := http.StatusOK
				if strings.Contains(ask, "4711") {
					status = http.StatusNotFound
				}
				s.expect(t, status, "replica", ask)
			}
			must(s.rdb.FlushAll(t.Context()).Err())
			s.load(t, e, "token-1")
		})
	}
}

// R1: an old catalogue does not answer for a raffle that was added since.
func TestCatalogueFollowsTheVersion_R1(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	for id := int64(5000); id < 5020; id++ {
		path := "/v1/raffles/" + strconv.FormatInt(id, 10)
		if a := s.get(t, path); a.status != http.StatusNotFound { // sometimes from SQL, because the list changes
			t.Errorf("R1: %d from %q", a.status, a.path())
		}
		s.insertRaffle(t, id)
		if err := s.rdb.Del(t.Context(), s.checkpoint.Epoch.Raffle(id), s.checkpoint.Epoch.Sizes(id)).Err(); err != nil {
			t.Fatal(err)
		}
		s.expect(t, http.StatusOK, "replica", path)
		a := s.expect(t, http.StatusOK, "redis", "/v1/raffles?limit="+strconv.Itoa(raffles+100))
		if got, want := len(decode[rafflePage](t, a).Raffles), collect(t, s, "SELECT count(*) FROM raffles WHERE closed_at IS NULL AND starts_at <= now()", scanID)[0]; got != int(want) {
			t.Errorf("R1: %d raffles are listed, want %d", got, want)
		}
	}
}

// A raffle's details have a size as soon as the size has its first bid.
func TestDetailFollowsNewSizes(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	for _, size := range []int16{280, 285} {
		s.expect(t, http.StatusOK, "redis", "/v1/raffles/1")
		s.place(t, size, 777)
		s.sameOnAllPaths(t, "/v1/raffles/1")
	}
}
