package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

type foundPage struct {
	Raffles []struct {
		ID      int64 `json:"id"`
		Product *struct {
			ID   int64  `json:"id"`
			Name string `json:"name"`
		} `json:"product"`
		Highest *int32 `json:"highest"`
	} `json:"raffles"`
	Products []struct {
		ID int64 `json:"id"`
	} `json:"products"`
	NextCursor *string `json:"next_cursor"`
}

func (p foundPage) ids() (ids []int64) {
	for _, r := range p.Raffles {
		ids = append(ids, r.ID)
	}
	for _, r := range p.Products {
		ids = append(ids, r.ID)
	}
	return ids
}

// A search finds what SQL finds, with the same bytes on all paths.
func TestSearch_R5(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	s.exec(t, `UPDATE products SET category = 'boot', name = 'ÉTÉ Air Max' WHERE id IN (3, 4)`)
	s.exec(t, `INSERT INTO bids (raffle_id, id, user_id, size, price, created_at) VALUES (4, 10011, 1, 260, 7, now()), (4, 10012, 1, 270, 9, now())`)
	s.reload(t)
	middle := collect(t, s, "SELECT to_char(ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM raffles WHERE id = 455", pgx.RowTo[string])[0]
	const open = "closed_at IS NULL AND starts_at <= now()"
	of := func(product string) string { return "product_id IN (SELECT id FROM products WHERE " + product + ")" }
	for path, where := range map[string]string{
		"q=M1&limit=1000": open + " AND " + of("model LIKE 'M1%'"), "q=m1&limit=1000": open + " AND " + of("model LIKE 'M1%'"),
		"q=air+max&status=all&limit=1000": of("id IN (3, 4)"), "q=%C3%A9t%C3%A9&status=all": "false", "q=%C3%89T%C3%89&status=all": of("id IN (3, 4)"),
		"q=GR%C3%B6%C3%9Fe+%221%22&status=all&limit=1000": of("id = 1"), "q=%25&status=all": "false", "q=e%22M1&status=all": "false",
		"category=boot&status=closed&limit=1000": "closed_at IS NOT NULL AND " + of("category = 'boot'"), "category=Boot": "false",
		"ends_before=" + middle + "&limit=1000":                open + " AND ends_at < (SELECT ends_at FROM raffles WHERE id = 455)",
		"q=m&ends_before=" + middle + "&status=all&limit=1000": "ends_at < (SELECT ends_at FROM raffles WHERE id = 455)",
		"expand=product&limit=1000":                            open, "expand=highest&limit=100&status=all&ends_before=" + middle: "ends_at < (SELECT ends_at FROM raffles WHERE id = 455)",
		"expand=highest,product&category=boot&status=all&limit=100": of("category = 'boot'"),
	} {
		a := s.sameOnAllPaths(t, "/v1/raffles?"+path)
		want := collect(t, s, "SELECT id FROM raffles WHERE "+where+" ORDER BY ends_at DESC, id DESC", scanID)
		if got := decode[foundPage](t, a).ids(); !slices.Equal(got, want[:min(len(want), 1000)]) && !slices.Equal(got, want[:min(len(want), 100)]) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	for path, where := range map[string]string{
		"limit=1000": "true", "q=m1": "model LIKE 'M1%'", "category=boot": "category = 'boot'", "q=AIR&category=shoe": "false", "category=boot&limit=1": "id = 4",
	} {
		want := collect(t, s, "SELECT id FROM products WHERE "+where+" ORDER BY id DESC", scanID)
		if got := decode[foundPage](t, s.sameOnAllPaths(t, "/v1/products?"+path)).ids(); !slices.Equal(got, want) {
			t.Errorf("products %s: %v, want %v", path, got, want)
		}
	}
	s.sameOnAllPaths(t, "/v1/products/3")
	s.holdsHighest(t)
}

// holdsHighest checks what is shown of a raffle besides itself.
func (s *stack) holdsHighest(t *testing.T) {
	t.Helper()
	for id, want := range map[int64]int32{1: 2147483647, 4: 9, 7: 0} {
		end := collect(t, s, "SELECT to_char(ends_at AT TIME ZONE 'UTC' + interval '1 microsecond', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM raffles WHERE id = "+
			strconv.FormatInt(id, 10), pgx.RowTo[string])[0]
		p := decode[foundPage](t, s.sameOnAllPaths(t, "/v1/raffles?expand=product,highest&limit=20&ends_before="+end))
		i := slices.Index(p.ids(), id)
		if i < 0 || p.Raffles[i].Product.ID != 1+id%40 || (want == 0) != (p.Raffles[i].Highest == nil) || want != 0 && *p.Raffles[i].Highest != want {
			t.Errorf("raffle %d: %+v", id, p.Raffles)
		}
	}
}

// The pages of a search come from all paths in turn, and a cursor holds for its filter only.
func TestSearchIsPaged_R4(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	for list, want := range map[string]string{
		"/v1/raffles?q=m1&status=all&limit=7":                   "SELECT r.id FROM raffles r JOIN products p ON p.id = r.product_id WHERE model LIKE 'M1%' ORDER BY ends_at DESC, r.id DESC",
		"/v1/raffles?expand=product&limit=97":                   "SELECT id FROM raffles WHERE closed_at IS NULL AND starts_at <= now() ORDER BY ends_at DESC, id DESC",
		"/v1/products?category=shoe&limit=7":                    "SELECT id FROM products ORDER BY id DESC",
		"/v1/raffles?ends_before=9999-12-31T00:00:00Z&limit=97": "SELECT id FROM raffles WHERE closed_at IS NULL AND starts_at <= now() ORDER BY ends_at DESC, id DESC",
	} {
		var got []int64
		for n, next := 0, ""; ; n++ {
			a := s.expect(t, http.StatusOK, allPaths[n%4], list+next, "Read-Path", allPaths[n%4])
			p := decode[foundPage](t, a)
			got = append(got, p.ids()...)
			if p.NextCursor == nil {
				break
			}
			next = "&cursor=" + *p.NextCursor
			a.linksTo(t, escaped(t, list)+next)
			if n == 0 {
				for _, other := range []string{"/v1/raffles?status=all", "/v1/raffles?q=m2&status=all", "/v1/raffles?q=m1&category=x&status=all", "/v1/products", "/v1/products?q=m1", "/v1/raffles"} {
					if list != "/v1/raffles?expand=product&limit=97" || other != "/v1/raffles" { // expand is no filter
						checkProblem(t, other+" with the cursor of "+list, s.get(t, other+sep(other)+next[1:]), http.StatusBadRequest, "cursor")
					}
				}
			}
		}
		if ids := collect(t, s, want, scanID); !slices.Equal(got, ids) {
			t.Errorf("R4: %s: %d, want %d, or another order", list, len(got), len(ids))
		}
	}
}

func sep(path string) string {
	if u, err := url.Parse(path); err == nil && u.RawQuery != "" {
		return "&"
	}
	return "?"
}

// escaped is a path as Link has it.
func escaped(t testing.TB, path string) string {
	t.Helper()
	u, err := url.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	if at := u.Query().Get("ends_before"); at != "" {
		return fmt.Sprintf("%s?ends_before=%s&limit=%s", u.Path, url.QueryEscape(at), u.Query().Get("limit"))
	}
	return path
}

// A search follows the changes of products.
func TestSearchFollowsProducts_R1(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	s.expect(t, http.StatusOK, "redis", "/v1/products?q=renamed")
	s.exec(t, "UPDATE products SET name = 'ReNamed' WHERE id = 2")
	p := collect(t, s, `SELECT id, name, model, color, category, image_url, release_date::text, release_price FROM products WHERE id = 2`,
		pgx.RowToStructByPos[readmodel.Product])[0]
	e, pipe := s.checkpoint.Epoch, s.rdb.Pipeline()
	pipe.HSet(t.Context(), e.Products(), "2", p.AppendEntry(nil))
	pipe.Set(t.Context(), e.RafflesVersion(), s.lsn(t).String(), 0)
	s.advance(t, pipe)
	for path, want := range map[string]int64{"/v1/products?q=renamed": 2, "/v1/raffles?q=renamed&status=all&limit=1": 881} {
		if got := decode[foundPage](t, s.get(t, path)).ids(); !slices.Equal(got, []int64{want}) {
			t.Errorf("R1: %s: %v", path, got)
		}
		testenv.Eventually(t, patience, "Redis answers", func() bool { return s.get(t, path).path() == "redis" })
		if got := decode[foundPage](t, s.expect(t, http.StatusOK, "redis", path)).ids(); !slices.Equal(got, []int64{want}) {
			t.Errorf("R1: %s from Redis: %v", path, got)
		}
	}
}
