package seed

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
)

var (
	small = dataset.Scale{Users: 300, Products: 40, Raffles: 100, Open: 10, Bids: 20_000}
	at    = time.Date(2024, 2, 29, 23, 59, 59, 123_456_000, time.UTC)
)

func newSet(t testing.TB, scale dataset.Scale) *dataset.Set {
	t.Helper()
	set, err := dataset.New(scale, 5)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func query[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) []T {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return all
}

func ignore(string, int64, int64) {}

// definitions is every index and constraint of the database.
const definitions = `SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid >= 16384 AND indisvalid
	UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || ' ' || convalidated
	FROM pg_constraint WHERE conrelid >= 16384 ORDER BY 1`

func TestLoad(t *testing.T) {
	url := testenv.NewDatabase(t).URL("migrator")
	conn := connect(t, url)
	before := query[string](t, conn, definitions)
	set := newSet(t, small)

	summary, err := Load(t.Context(), url, set, at, ignore)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"users": 301, "products": 40, "raffles": 100, "bids": 20_000}
	if !reflect.DeepEqual(summary.Rows, want) || summary.BytesPerBid < 50 || summary.Elapsed < summary.Copy {
		t.Errorf("summary: %+v", summary)
	}
	if after := query[string](t, conn, definitions); !reflect.DeepEqual(after, before) {
		t.Errorf("definitions after the load:\n%q\nbefore:\n%q", after, before)
	}
	compareBids(t, conn, set)
	compareRaffles(t, conn, set)
	checkRules(t, conn)
	checkReadyForUse(t, conn)
}

func compareBids(t *testing.T, conn *pgx.Conn, set *dataset.Set) {
	t.Helper()
	stored := query[string](t, conn, `SELECT concat_ws(' ', raffle_id, id, user_id, size, price, quantity,
		to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')) FROM bids ORDER BY id`)
	if int64(len(stored)) != set.Scale().Bids {
		t.Fatalf("%d bids", len(stored))
	}
	for b := range set.Bids() {
		want := fmt.Sprint(b.RaffleID, b.ID, b.UserID, b.Size, b.Price, b.Quantity) +
			at.Add(b.CreatedAt).Format(" 2006-01-02 15:04:05.000000")
		if got := stored[b.ID-1]; got != want {
			t.Fatalf("bid %d is %s, want %s", b.ID, got, want)
		}
	}
}

func compareRaffles(t *testing.T, conn *pgx.Conn, set *dataset.Set) {
	t.Helper()
	const layout = "2006-01-02 15:04:05.000000"
	stored := query[string](t, conn, `SELECT concat_ws(' ', id, product_id, seller_id,
		to_char(starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
		to_char(ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
		closed_at IS NOT DISTINCT FROM ends_at, coalesce(closing_price, 0)) FROM raffles ORDER BY id`)
	for i, r := range set.Raffles() {
		closed := map[bool]string{true: "t", false: "f"}[r.Closed]
		want := fmt.Sprintf("%d %d %d %s %s %s %d", r.ID, r.ProductID, r.SellerID,
			at.Add(r.Starts).Format(layout), at.Add(r.Ends).Format(layout), closed, r.ClosingPrice)
		if stored[i] != want {
			t.Fatalf("raffle is %s, want %s", stored[i], want)
		}
	}
	products := query[string](t, conn, `SELECT concat_ws('|', id, name, model, color, category, image_url,
		release_price, release_date) FROM products ORDER BY id`)
	for i, p := range set.Products() {
		want := fmt.Sprintf("%d|%s|%s|%s|%s|%s|%d|%s", p.ID, p.Name, p.Model, p.Color, p.Category, p.ImageURL,
			p.ReleasePrice, at.Add(p.Released).Format("2006-01-02"))
		if products[i] != want {
			t.Fatalf("product is %s, want %s", products[i], want)
		}
	}
}

// checkRules asks the database itself for rows that break the rules of the data set.
func checkRules(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	now := "timestamptz '" + at.Format(time.RFC3339Nano) + "'"
	for what, sql := range map[string]string{
		"bids outside their raffle": `SELECT count(*) FROM bids b JOIN raffles r ON r.id = b.raffle_id
			WHERE b.created_at < r.starts_at OR b.created_at >= r.ends_at OR b.created_at >= ` + now,
		"wrong closing prices": `SELECT count(*) FROM raffles r WHERE closed_at IS NOT NULL
			AND closing_price IS DISTINCT FROM (SELECT max(price) FROM bids WHERE raffle_id = r.id)`,
		"raffles closed or open that should not be": `SELECT count(*) FROM raffles
			WHERE (id <= 90) != (closed_at IS NOT NULL) OR (closed_at IS NULL) != (ends_at > ` + now + `)`,
		"keys": `SELECT count(*) FROM bids WHERE idempotency_key IS NOT NULL OR request_hash IS NOT NULL`,
		"wrong users": `SELECT count(*) FROM users WHERE
			login != CASE WHEN id = 301 THEN 'admin' ELSE 'user' || id END
			OR role != CASE WHEN id = 301 THEN 'admin' ELSE 'bidder' END`,
	} {
		if n := query[int64](t, conn, sql)[0]; n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}

// checkReadyForUse looks at sequences, the visibility map and the statistics.
func checkReadyForUse(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	next := query[int64](t, conn, `SELECT nextval(pg_get_serial_sequence(name, 'id'))
		FROM unnest('{users,products,raffles,bids}'::text[]) name`)
	if want := []int64{302, 41, 101, 20_001}; !reflect.DeepEqual(next, want) {
		t.Errorf("next ids are %v, want %v", next, want)
	}
	if stale := query[string](t, conn, `SELECT relname::text FROM pg_class WHERE relname IN
		('users', 'products', 'raffles', 'bids') AND (relallvisible < relpages OR reltuples <= 0)`); len(stale) > 0 {
		t.Errorf("not vacuumed: %v", stale)
	}
}

func TestLoadRefusesRows(t *testing.T) {
	for _, statement := range []string{
		"INSERT INTO users (login, password_hash) VALUES ('early', 'x')",
		`INSERT INTO cancelled_bids VALUES (1, 1, 1, 270, 1000, 1, now(), NULL, NULL, now())`,
	} {
		d := testenv.NewDatabase(t)
		d.Exec(t, statement)
		_, err := Load(t.Context(), d.URL("migrator"), newSet(t, small), at, ignore)
		if !errors.Is(err, ErrNotEmpty) {
			t.Errorf("after %s: %v", statement, err)
		}
		conn := connect(t, d.URL("migrator"))
		if n := query[int64](t, conn, "SELECT count(*) FROM bids"); n[0] != 0 {
			t.Errorf("after %s: %d bids", statement, n[0])
		}
	}
}

func TestTwoLoadsAtOnce(t *testing.T) {
	url := testenv.NewDatabase(t).URL("migrator")
	set := newSet(t, small)
	errs := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := Load(t.Context(), url, set, at, ignore)
			errs <- err
		}()
	}
	first, second := <-errs, <-errs
	if first != nil {
		first, second = second, first
	}
	if first != nil || !errors.Is(second, ErrNotEmpty) {
		t.Errorf("got %v and %v, want success and %v", first, second, ErrNotEmpty)
	}
	if n := query[int64](t, connect(t, url), "SELECT count(*) FROM bids"); n[0] != small.Bids {
		t.Errorf("%d bids", n[0])
	}
}

// TestInterruptedLoadLeavesNothing ends a load at several moments; the next one succeeds.
func TestInterruptedLoadLeavesNothing(t *testing.T) {
	url := testenv.NewDatabase(t).URL("migrator")
	conn := connect(t, url)
	before := query[string](t, conn, definitions)
	scale := small
	scale.Bids = 100_000
	set := newSet(t, scale)
	for _, moment := range []struct {
		step string
		done int64
	}{{"users", 0}, {"bids", 50_000}, {"index bids_size", 0}, {"index bids_user", 1}} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Load(ctx, url, set, at, func(step string, done, _ int64) {
			if step == moment.step && done >= moment.done {
				cancel()
			}
		})
		cancel()
		if err == nil {
			t.Fatalf("interrupted at %v: no error", moment)
		}
		n := query[int64](t, conn, "SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM raffles) + (SELECT count(*) FROM bids)")
		if after := query[string](t, conn, definitions); n[0] != 0 || !reflect.DeepEqual(after, before) {
			t.Fatalf("interrupted at %v: %d rows, definitions %q", moment, n[0], after)
		}
	}
	if _, err := Load(t.Context(), url, set, at, ignore); err != nil {
		t.Error(err)
	}
	// A row takes 84 bytes; more means that the ended loads still take space.
	if size := query[int64](t, conn, "SELECT pg_relation_size('bids')")[0]; size > 100*scale.Bids {
		t.Errorf("%d bytes for %d bids", size, scale.Bids)
	}
}

func TestLoadWithoutBids(t *testing.T) {
	url := testenv.NewDatabase(t).URL("migrator")
	scale := small
	scale.Bids = 0
	summary, err := Load(t.Context(), url, newSet(t, scale), at, ignore)
	if err != nil || summary.BytesPerBid != 0 {
		t.Fatalf("%+v, %v", summary, err)
	}
	conn := connect(t, url)
	if n := query[int64](t, conn, "SELECT count(*) FROM raffles WHERE closing_price IS NOT NULL"); n[0] != 0 {
		t.Errorf("%d raffles without bids have a closing price", n[0])
	}
	if id := query[int64](t, conn, "SELECT nextval('bid_ids')"); id[0] != 1 {
		t.Errorf("the first bid's id is %d", id[0])
	}
}
