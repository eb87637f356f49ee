package sqlbook

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/sql/readdb"
)

// held is a sharing whose transactions begin when the test says so.
type held struct {
	sharing
	begun chan int // statements of each transaction
	ended chan outcome
}

func hold() *held {
	h := &held{begun: make(chan int), ended: make(chan outcome)}
	h.run = func(ctx context.Context, statements []statement) outcome {
		h.begun <- len(statements)
		select {
		case o := <-h.ended:
			return o
		case <-ctx.Done():
			return outcome{err: ctx.Err()}
		}
	}
	return h
}

// next ends the transactions that fill began and returns how many statements the following transaction has.
func (h *held) next(t *testing.T, first chan error) int {
	h.ended <- outcome{}
	n := <-h.begun
	for range transactions - 1 {
		h.ended <- outcome{}
	}
	for range transactions {
		if err := <-first; err != nil {
			t.Error(err)
		}
	}
	return n
}

func (h *held) waits() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.waiting)
}

const patience = 30 * time.Second

var nothing = []statement{func(*readdb.Queries) error { return nil }}

// fill begins as many transactions as may run at once, of one statement each, and lets n more lookups wait.
func (h *held) fill(ctx context.Context, t *testing.T, n int) (first, more chan error) {
	first, more = make(chan error, transactions), make(chan error, n)
	for range transactions {
		go func() { first <- h.do(context.Background(), nothing).err }()
		if got := <-h.begun; got != 1 {
			t.Errorf("a lookup that came alone shares its transaction: %d statements", got)
		}
	}
	for range n {
		go func() { more <- h.do(ctx, nothing).err }()
	}
	testenv.Eventually(t, patience, "all wait", func() bool { return h.waits() == n })
	return first, more
}

// Lookups that come while all transactions are under way share the next transaction.
func TestLookupsThatComeAtOnceShareATransaction(t *testing.T) {
	h := hold()
	first, more := h.fill(t.Context(), t, 7)
	if got := h.next(t, first); got != 7 {
		t.Errorf("the next transaction has %d statements of 7 lookups", got)
	}
	h.ended <- outcome{}
	for range 7 {
		if err := <-more; err != nil {
			t.Error(err)
		}
	}
}

// A statement that the server refuses fails only its own lookup. A failure of the path is reported once to the
// breaker.
func TestAFailureIsOfTheLookupOrOfThePath(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		alone bool
	}{
		"a damaged row":     {&pgconn.PgError{Severity: "ERROR", Code: "XX001"}, true},
		"too slow":          {&pgconn.PgError{Severity: "ERROR", Code: pg.QueryCanceled}, false},
		"the server leaves": {&pgconn.PgError{Severity: "FATAL", Code: "57P01"}, false},
		"a lost connection": {errors.New("broken pipe"), false},
	} {
		t.Run(name, func(t *testing.T) {
			h := hold()
			first, more := h.fill(t.Context(), t, 3)
			h.next(t, first)
			h.ended <- outcome{err: c.err}
			if c.alone {
				for range 3 {
					if got := <-h.begun; got != 1 {
						t.Errorf("asked again with %d statements", got)
					}
				}
				h.ended <- outcome{err: c.err}
				h.ended <- outcome{}
				h.ended <- outcome{}
			}
			told, marked, well := 0, 0, 0
			for range 3 {
				switch err := <-more; {
				case errors.Is(err, bidbook.ErrShared):
					marked++
				case err != nil:
					told++
				default:
					well++
				}
			}
			if c.alone && (told != 1 || well != 2) || !c.alone && (told != 1 || marked != 2) {
				t.Errorf("%d told, %d marked as shared, %d well", told, marked, well)
			}
		})
	}
}

// A transaction ends early when all callers have left, and not before.
func TestATransactionEndsWhenAllHaveLeft(t *testing.T) {
	for _, stays := range []bool{false, true} {
		h := hold()
		ctx, leave := context.WithCancel(t.Context())
		first, more := h.fill(ctx, t, 2)
		stayed := make(chan error, 1)
		if stays {
			go func() { stayed <- h.do(t.Context(), nothing).err }()
			testenv.Eventually(t, patience, "the third waits", func() bool { return h.waits() == 3 })
		}
		h.next(t, first)
		leave()
		for range 2 {
			if err := <-more; !errors.Is(err, context.Canceled) {
				t.Errorf("one that left: %v", err)
			}
		}
		if stays {
			select {
			case h.ended <- outcome{}:
			case err := <-stayed:
				t.Fatalf("ended beneath the one that stayed: %v", err)
			}
			if err := <-stayed; err != nil {
				t.Errorf("the one that stayed: %v", err)
			}
		}
		testenv.Eventually(t, patience, "no transaction is under way", func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.running == 0
		})
	}
}

// R6: the first reads after a restart of the server are answered, although all connections of the pool are dead.
func TestARestartOfTheServerFailsNoRead_R6(t *testing.T) {
	db := testenv.StartPostgres(t)
	pool, err := NewPool(db.URL("query"), 8, bidbook.ScanBudget)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	reader := New(pool, bidbook.PathPrimary, new(primary.Watch))
	for range 3 {
		testenv.Eventually(t, patience, "all connections are there", func() bool { return pool.Stat().IdleConns() >= transactions })
		db.Kill(t)
		db.Start(t)
		for range 2 * transactions {
			if _, _, err := reader.Entry(t.Context(), 1, lsn.Position{}); !errors.Is(err, bidbook.ErrNotFound) {
				t.Errorf("R6: %v", err)
			}
		}
	}
}

// R5: lookups that share a transaction get their own rows. A lookup that asks for a position beyond fails alone.
func TestEachLookupOfATransactionGetsItsOwn_R5(t *testing.T) {
	db := testenv.NewDatabase(t)
	pool, err := NewPool(db.URL("query"), transactions, bidbook.ScanBudget)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	seedOneRaffle(t, db)
	reader := New(pool, bidbook.PathPrimary, new(primary.Watch))
	at, err := reader.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	beyond := at.At
	beyond.LSN += 1 << 40
	var all sync.WaitGroup
	for n := range 80 {
		all.Go(func() {
			want, minLSN := 1+n%40, lsn.Position{}
			if n >= 40 {
				minLSN = beyond
			}
			p, _, err := reader.Bids(t.Context(), bidbook.BidsQuery{RaffleID: 1, Size: int16(200 + want), Order: bidbook.Highest, Limit: 3}, minLSN)
			switch {
			case n >= 40 && err == nil:
				t.Error("a position that is not reached was answered")
			case n < 40 && (err != nil || len(p.Bids) != 1 || int(p.Bids[0].Price) != 1000*want):
				t.Errorf("size %d: %v, %v", 200+want, p.Bids, err)
			}
		})
	}
	all.Wait()
}

// seedOneRaffle makes a raffle with a bid in each of the sizes 201 to 240, at 1,000 KRW and so on.
func seedOneRaffle(t *testing.T, db *testenv.Database) {
	t.Helper()
	db.Exec(t, `WITH u AS (INSERT INTO users (id, login, password_hash) OVERRIDING SYSTEM VALUE VALUES (1, 'one', 'x')),
			p AS (INSERT INTO products (id, name, model, color, category, image_url, release_price, release_date) OVERRIDING SYSTEM VALUE
				VALUES (1, 'p', 'm', 'c', 'k', '', 1, '2020-01-01')),
			r AS (INSERT INTO raffles (id, product_id, seller_id, starts_at, ends_at) OVERRIDING SYSTEM VALUE VALUES (1, 1, 1, now(), now() + interval '1 day'))
		INSERT INTO bids (raffle_id, user_id, size, price, created_at) SELECT 1, 1, 200 + n, 1000 * n, now() FROM generate_series(1, 40) n`)
}

// R5: bids may be left over of a raffle that is gone. They are not listed, whether the bids or the raffle are read
// first.
func TestBidsThatAreLeftOfARaffleAreNotListed_R5(t *testing.T) {
	db := testenv.NewDatabase(t)
	seedOneRaffle(t, db)
	pool, err := NewPool(db.URL("query"), transactions, bidbook.ScanBudget)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, gone := range []bool{false, true} {
		if gone {
			db.Exec(t, "DELETE FROM raffles")
		}
		for _, path := range []bidbook.Path{bidbook.PathPrimary, bidbook.PathScan} {
			for _, order := range []bidbook.Order{bidbook.Newest, bidbook.Highest} {
				for size, bids := range map[int16]int{201: 1, 300: 0} {
					page, _, err := New(pool, path, new(primary.Watch)).Bids(t.Context(), bidbook.BidsQuery{RaffleID: 1, Size: size, Order: order, Limit: 3}, lsn.Position{})
					if gone && !errors.Is(err, bidbook.ErrNotFound) || !gone && (err != nil || len(page.Bids) != bids) {
						t.Errorf("R5: %s, order %c, size %d, gone: %v: %v, %v", path, order, size, gone, page.Bids, err)
					}
				}
			}
		}
	}
}
