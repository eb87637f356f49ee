package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const (
	onceKeys       = 200
	onceDuplicates = 50 // of each key, all at once
	onceParallel   = 4  // keys under way
	onceBudget     = 90 * time.Second
	retryAfter     = 20 * time.Millisecond // sooner than a client would retry, to meet every moment of a restart
)

// startWriter starts the write side alone. The service reaches its database through the proxy.
func startWriter(t testing.TB) (*stack, *testenv.Proxy) {
	t.Helper()
	s := &stack{primary: testenv.StartPostgres(t)}
	s.seed(t)
	proxy := testenv.StartProxy(t, s.primary.Addr())
	s.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 512}}
	t.Cleanup(s.client.CloseIdleConnections)
	s.command, s.commandURL, _ = startService(t, "command",
		"PRIMARY_URL="+proxy.URL(s.primary.URL("command")), "LOGIN_CORES=2", "JWT_KEYS_DIR="+t.TempDir(), "LOG_LEVEL=error")
	return s, proxy
}

// keyed is a bid that is sent many times with one key, and the answers.
type keyed struct {
	key, url, authorization string
	bid                     map[string]int
	mu                      sync.Mutex
	first                   answer
	fresh                   int // 201s that are not marked as replayed
}

// insist asks again until there is an answer other than 503, because after a 503 or without an answer the
// outcome is not known.
func (s *stack) insist(ctx context.Context, method, url string, body any, header ...string) (answer, error) {
	for {
		a, err := s.do(method, url, body, header...)
		switch {
		case err == nil && a.status != http.StatusServiceUnavailable:
			return a, nil
		case err == nil && a.header.Get("Retry-After") == "":
			return a, fmt.Errorf("503 without Retry-After: %s", a.body)
		}
		timer := time.NewTimer(retryAfter)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return a, fmt.Errorf("still %d %s (%w) when the time was up", a.status, a.body, err)
		}
	}
}

// post asks for the bid until it is accepted and compares the answer with the earlier answers.
func (k *keyed) post(ctx context.Context, s *stack) error {
	a, err := s.insist(ctx, "POST", k.url, k.bid, "Authorization", k.authorization, "Idempotency-Key", k.key)
	if err != nil || a.status != http.StatusCreated {
		return fmt.Errorf("key %s: %d %s %w", k.key, a.status, a.body, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if a.header.Get("Idempotency-Replayed") == "" {
		k.fresh++
	}
	if k.first.status == 0 {
		k.first = a
	}
	if string(a.body) != string(k.first.body) || a.header.Get("Location") != k.first.header.Get("Location") || k.fresh > 1 {
		return fmt.Errorf("key %s, %d times not replayed: %s at %s, and %s at %s", k.key, k.fresh,
			k.first.body, k.first.header.Get("Location"), a.body, a.header.Get("Location"))
	}
	return nil
}

// postAtOnce posts n duplicates together.
func (k *keyed) postAtOnce(ctx context.Context, s *stack, n int) error {
	errs := make(chan error, n)
	for range n {
		go func() { errs <- k.post(ctx, s) }()
	}
	var first error
	for range n {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

// onceEach runs do for every key, a few at a time, and counts the finished keys in done.
func onceEach(keys []*keyed, done *atomic.Int64, do func(*keyed) error) <-chan error {
	errs := make(chan error, len(keys))
	next := make(chan *keyed, len(keys))
	for _, k := range keys {
		next <- k
	}
	close(next)
	for range onceParallel {
		go func() {
			for k := range next {
				errs <- do(k)
				done.Add(1)
			}
		}()
	}
	return errs
}

func (s *stack) newKeys(t testing.TB, n int) []*keyed {
	t.Helper()
	const users = 10
	authorization := make([]string, users)
	for i := range authorization {
		authorization[i] = s.login(t, fmt.Sprintf("user%d", i+1))
	}
	keys := make([]*keyed, n)
	for i := range keys {
		keys[i] = &keyed{key: fmt.Sprintf("once-%d", i), url: s.bidsURL(openRaffle + int64(i%7)), authorization: authorization[i%users],
			bid: map[string]int{"size": 250 + 5*(i%11), "price": 1000 + i}}
	}
	return keys
}

// W1, W2: 10,000 requests for 200 bids, while answers to commits are lost, connections are cut and the
// service is killed.
func TestOneBidPerKeyWhateverIsCutOrKilled_W1_W2(t *testing.T) {
	s, proxy := startWriter(t)
	keys := s.newKeys(t, onceKeys)
	ctx, cancel := context.WithTimeout(context.Background(), onceBudget)
	defer cancel()
	var done atomic.Int64
	errs := onceEach(keys, &done, func(k *keyed) error { return k.postAtOnce(ctx, s, onceDuplicates) })
	for step := range onceKeys / 5 {
		testenv.Eventually(t, onceBudget, "the load goes on", func() bool { return done.Load() >= int64(step)*5 })
		proxy.CutBeforeAnswer([]byte(testenv.CommitAnswer), 2)
		switch step % 8 {
		case 3:
			proxy.Cut()
		case 7:
			s.command.Kill(t)
			s.command.Start(t)
		}
	}
	for range keys {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if proxy.Cuts() < onceKeys/10 {
		t.Errorf("only %d answers to commits were lost", proxy.Cuts())
	}
	t.Logf("%d answers to commits lost, %d kills", proxy.Cuts(), onceKeys/40)
	s.holdAgainst(t, keys, "bids")
}

// W2: a cancellation whose answer is lost is repeated while retries of the bid come in; no retry bids again.
func TestNoRetryRevivesACancelledBid_W2(t *testing.T) {
	const cancelled, retries = 40, 20
	s, proxy := startWriter(t)
	keys := s.newKeys(t, cancelled)
	ctx, cancel := context.WithTimeout(context.Background(), onceBudget)
	defer cancel()
	var done atomic.Int64
	errs := onceEach(keys, &done, func(k *keyed) error {
		if err := k.post(ctx, s); err != nil {
			return err
		}
		retried := make(chan error, 1)
		go func() { retried <- k.postAtOnce(ctx, s, retries) }()
		a, err := s.insist(ctx, "DELETE", s.commandURL+k.first.header.Get("Location"), nil, "Authorization", k.authorization)
		if err == nil && a.status != http.StatusNoContent {
			err = fmt.Errorf("cancel: %d %s", a.status, a.body)
		}
		if retryErr := <-retried; err == nil {
			err = retryErr
		}
		if err != nil {
			return err
		}
		return k.postAtOnce(ctx, s, retries)
	})
	for step := range cancelled / 4 {
		testenv.Eventually(t, onceBudget, "the load goes on", func() bool { return done.Load() >= int64(step)*4 })
		proxy.CutBeforeAnswer([]byte(testenv.CommitAnswer), 3)
		if step%5 == 4 {
			s.command.Kill(t)
			s.command.Start(t)
		}
	}
	for range keys {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d answers to commits lost", proxy.Cuts())
	s.holdAgainst(t, keys, "cancelled_bids")
}

// holdAgainst fails the test unless each key has exactly one row, in this table and in no other, with the id of
// the answers.
func (s *stack) holdAgainst(t *testing.T, keys []*keyed, table string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.primary.URL("command"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	const sql = `SELECT idempotency_key, format('/v1/raffles/%s/bids/%s', raffle_id, id), 'bids' FROM bids WHERE idempotency_key LIKE 'once-%'
		UNION ALL SELECT idempotency_key, format('/v1/raffles/%s/bids/%s', raffle_id, id), 'cancelled_bids' FROM cancelled_bids WHERE idempotency_key LIKE 'once-%'`
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ Key, Location, Table string }
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		t.Fatal(err)
	}
	byKey := make(map[string]row, len(found))
	for _, r := range found {
		byKey[r.Key] = r
	}
	if len(found) != len(keys) {
		t.Errorf("%d rows for %d keys", len(found), len(keys))
	}
	for _, k := range keys {
		if r := byKey[k.key]; r.Location != k.first.header.Get("Location") || r.Table != table {
			t.Errorf("key %s: the answers say %s, the database has %+v", k.key, k.first.header.Get("Location"), r)
		}
	}
}
