package main

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// The list of raffles is encoded once per change. Until a raffle changes, each coding keeps its bytes and its tag.
// Afterwards no old list is served.
func TestRaffleListIsKeptUntilItChanges(t *testing.T) {
	s := startStack(t)
	const list = "/v1/raffles?limit=100"
	plain := s.expect(t, http.StatusOK, "redis", list)
	s.setCheckpoint(t, func(c *readmodel.Checkpoint) { c.LSN++ }) // bids only
	again := s.expect(t, http.StatusOK, "redis", list)
	if again.body != plain.body || again.header.Get("Etag") != plain.header.Get("Etag") || again.header.Get("Read-LSN") != s.checkpoint.Position().String() {
		t.Errorf("nothing changed, but %v became %v", plain.header, again.header)
	}
	tags := map[string]bool{plain.header.Get("Etag"): true}
	for coding, open := range map[string]func(io.Reader) (io.Reader, error){
		"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
	} {
		a := s.expect(t, http.StatusOK, "redis", list, "Accept-Encoding", coding)
		r, err := open(strings.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(r); err != nil || string(body) != plain.body {
			t.Errorf("%s: another body, %v", coding, err)
		}
		if a.header.Get("Content-Encoding") != coding || a.header.Get("Vary") != "Accept-Encoding" || len(a.body) > len(plain.body)/2 {
			t.Errorf("%s: %d bytes, %v", coding, len(a.body), a.header)
		}
		tags[a.header.Get("Etag")] = true
		s.expect(t, http.StatusNotModified, "redis", list, "If-None-Match", a.header.Get("Etag"), "Accept-Encoding", coding)
		s.expect(t, http.StatusOK, "redis", list, "If-None-Match", a.header.Get("Etag"))
	}
	if len(tags) != 3 {
		t.Errorf("tags %v", tags)
	}
	s.closeRaffle(t, decode[rafflePage](t, plain).Raffles[0].ID)
	a := s.expect(t, http.StatusOK, "redis", list, "If-None-Match", plain.header.Get("Etag"))
	if want := s.expect(t, http.StatusOK, "primary", list, "Read-Path", "primary"); cursorPart.ReplaceAllString(a.body, "") != cursorPart.ReplaceAllString(want.body, "") {
		t.Errorf("after a change: %.300s, want %.300s", a.body, want.body)
	}
	// Without a version the list can't be known to be unchanged.
	if err := s.rdb.Del(t.Context(), s.checkpoint.Epoch.RafflesVersion()).Err(); err != nil {
		t.Fatal(err)
	}
	s.expect(t, http.StatusOK, "redis", list, "If-None-Match", `"x"`)
}

// The entity tag of a list of raffles is a function of its rows, on each instance and path, also after a rebuild.
func TestRaffleListTagIsItsContent(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	another := *s
	another.url = another.serve(t, another.config())
	for _, p := range allPaths {
		testenv.Eventually(t, patience, "the other instance answers", func() bool { return another.get(t, someBids, "Read-Path", p).path() == p })
	}
	lists := []string{"/v1/raffles", "/v1/raffles?limit=7", "/v1/raffles?status=closed&limit=10000", "/v1/raffles?status=all&limit=1", "/v1/raffles?status=all&limit=299"}
	tags := map[string]string{}
	holds := func() {
		t.Helper()
		for _, list := range lists {
			for _, p := range allPaths {
				for _, i := range []*stack{s, &another} {
					a := i.expect(t, http.StatusOK, p, list, "Read-Path", p)
					if tag := a.header.Get("Etag"); tags[list] != tag {
						t.Errorf("%s from %s has the tag %s, want %s", list, p, tag, tags[list])
					}
					i.expect(t, http.StatusNotModified, p, list, "Read-Path", p, "If-None-Match", tags[list])
				}
			}
		}
	}
	note := func() {
		for _, list := range lists {
			tag := s.get(t, list).header.Get("Etag")
			for other, has := range tags {
				if has == tag && other != list {
					t.Errorf("%s has the tag of %s", list, other)
				}
			}
			tags[list] = tag
		}
	}
	note()
	holds()
	s.load(t, 2, "token-2")
	s.sqlBid(t)
	s.standby.WaitReplay(t)
	holds()
	s.closeRaffle(t, decode[rafflePage](t, s.get(t, lists[0])).Raffles[0].ID)
	note()
	holds()
}

// Every limit and cursor is served from one reading of the raffles.
func TestRaffleListIsReadOnceForAllLimits(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	s.expect(t, http.StatusOK, "redis", "/v1/raffles?status=all")
	sent := func() int {
		_, rest, _ := strings.Cut(s.rdb.Info(t.Context(), "stats").Val(), "total_net_output_bytes:")
		n, err := strconv.Atoi(rest[:strings.IndexByte(rest, '\r')])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before, rows := sent(), 0
	for limit := 1; limit <= raffles; limit += 7 {
		p := decode[rafflePage](t, s.expect(t, http.StatusOK, "redis", "/v1/raffles?status=all&limit="+strconv.Itoa(limit)))
		if rows += len(p.Raffles); len(p.Raffles) != min(limit, raffles) {
			t.Errorf("limit %d: %d raffles", limit, len(p.Raffles))
		}
		if p.NextCursor != nil {
			s.expect(t, http.StatusOK, "redis", "/v1/raffles?status=all&limit=10000&cursor="+*p.NextCursor)
		}
	}
	if n := sent() - before; n > rows*10 { // a row takes some 60
		t.Errorf("Redis has sent %d bytes for %d rows", n, rows)
	}
}

// A raffle that starts is in the list of the open ones at once, though nothing was written.
func TestRaffleListSeesARaffleStart(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	list := "/v1/raffles?limit=" + strconv.Itoa(raffles)
	before := decode[rafflePage](t, s.expect(t, http.StatusOK, "redis", list))
	s.exec(t, "UPDATE raffles SET starts_at = now() + interval '1500 milliseconds' WHERE id = 2") // not started yet
	s.reload(t)
	s.expect(t, http.StatusOK, "redis", list)
	testenv.Eventually(t, patience, "the raffle is open", func() bool {
		return len(decode[rafflePage](t, s.expect(t, http.StatusOK, "redis", list)).Raffles) == len(before.Raffles)+1
	})
}

// The capped set of a size is believed only above the newest bid that it ever dropped (R1).
func TestSizeBelowItsFloorIsSQLs_R1(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	e := s.checkpoint.Epoch
	all := collect(t, s, "SELECT id FROM bids WHERE size = 270 ORDER BY created_at DESC, id DESC", scanID)
	dropped, err := s.rdb.ZRangeWithScores(t.Context(), e.SizeNewest(270), 0, 1999).Result()
	if err != nil {
		t.Fatal(err)
	}
	floor := dropped[len(dropped)-1]
	if err := s.rdb.ZRemRangeByRank(t.Context(), e.SizeNewest(270), 0, 1999).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.rdb.Set(t.Context(), e.SizeFloor(270), strconv.FormatInt(int64(floor.Score), 10), 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.expect(t, http.StatusOK, "redis", "/v1/bids?size=270&limit=700")
	s.expect(t, http.StatusOK, "replica", "/v1/bids?size=270&limit=1000")
	s.expect(t, http.StatusOK, "redis", "/v1/bids?size=255") // has never had bids
	seen := map[string]bool{}
	var got []int64
	for next := ""; ; {
		a := s.get(t, "/v1/bids?size=270&limit=333"+next)
		seen[a.path()] = true
		p := decode[bidPage](t, a)
		for _, b := range p.Bids {
			got = append(got, b.ID)
		}
		if p.NextCursor == nil {
			break
		}
		next = "&cursor=" + *p.NextCursor
	}
	if !slices.Equal(got, all) || !seen["redis"] || !seen["replica"] {
		t.Errorf("R1: %d of %d bids from %v", len(got), len(all), seen)
	}
}

func (s *stack) exec(t testing.TB, sql string) {
	t.Helper()
	if _, err := s.sql.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// reload builds the next epoch from the present rows of the database.
func (s *stack) reload(t testing.TB) {
	t.Helper()
	s.load(t, s.checkpoint.Epoch+1, s.checkpoint.Token)
	s.standby.WaitReplay(t)
}

func (s *stack) closeRaffle(t testing.TB, id int64) {
	t.Helper()
	read := func() readmodel.Raffle {
		return collect(t, s, "SELECT id, product_id, seller_id, "+micros("starts_at")+", "+micros("ends_at")+", coalesce("+micros("closed_at")+
			", 0), coalesce(closing_price, 0) FROM raffles WHERE id = "+strconv.FormatInt(id, 10), pgx.RowToStructByPos[readmodel.Raffle])[0]
	}
	was := read()
	s.exec(t, "UPDATE raffles SET closed_at = now() WHERE id = "+strconv.FormatInt(id, 10))
	is := read()
	e, pipe := s.checkpoint.Epoch, s.rdb.Pipeline()
	pipe.ZRem(t.Context(), e.Raffles(), was.AppendMember(nil))
	pipe.ZAdd(t.Context(), e.Raffles(), z(string(is.AppendMember(nil)), is.EndScore()))
	pipe.Set(t.Context(), e.Raffle(id), is.AppendMember(nil), 0)
	pipe.Set(t.Context(), e.RafflesVersion(), s.lsn(t).String(), 0)
	s.advance(t, pipe)
}
