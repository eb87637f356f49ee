package test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// metric returns the text of a metric of the replicator.
func (s *system) metric(name string) string {
	s.t.Helper()
	response, err := http.Get(strings.Replace(s.ready, "/readyz", "/metrics", 1))
	s.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	s.must(err)
	_, after, _ := strings.Cut(string(text), "\n"+name+" ")
	value, _, _ := strings.Cut(after, "\n")
	return value
}

func TestBackgroundComparisonMendsWhatDiffers_P12(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=100ms")
	s.exec("INSERT INTO raffles (product_id, seller_id, starts_at, ends_at) SELECT 1, 1, '2026-01-01', '2036-01-01' FROM generate_series(1, 300)")
	s.bids(2000)
	e := s.reached().Epoch
	stop := s.load()
	defer stop()
	pass := func() {
		t.Helper()
		was := s.report().Verify.Passes
		testenv.Eventually(t, patience, "two passes", func() bool { return s.report().Verify.Passes >= was+2 })
	}
	pass()
	if v := s.report().Verify; v.DivergentKeys != 0 || v.VerifiedKeys == 0 || v.LastError != "" || s.metric("readmodel_divergent_keys") != "0" {
		t.Fatalf("%+v", v)
	}
	damaged := []string{e.Raffle(3), e.Raffle(300), e.Products()}
	s.must(s.redis.Del(s.ctx, damaged...).Err())
	for _, key := range damaged {
		testenv.Eventually(t, patience, key+" is named", func() bool { return strings.Contains(s.Output(), key) })
	}
	testenv.Eventually(t, patience, "the parts are mended", func() bool { return s.redis.Exists(s.ctx, damaged...).Val() == 3 })
	pass()
	testenv.Eventually(t, patience, "the gauge goes down", func() bool { return s.metric("readmodel_divergent_keys") == "0" })
	if s.metric(`replicator_reloads_total{part="raffle"}`) == "0" || s.metric(`replicator_reloads_total{part="lists"}`) == "0" {
		t.Error("no metric tells of the reloads")
	}
	if at := s.metric("readmodel_verify_last_pass_timestamp_seconds"); at == "0" || at == "" {
		t.Errorf("the last pass was at %q", at)
	}
	stop()
	s.equal()
}

// No slot can be made while a transaction that writes is open. The comparison gives up in time and leaves nothing on
// the server.
func TestBackgroundComparisonGivesUpOnALongTransaction(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.StartPostgres(t))
	s.replicate()
	s.reached()
	s.exec("BEGIN; UPDATE products SET name = 'open' WHERE id = 1")
	s.expect("verify", 2, "a transaction that writes has been open for more than 10s")
	s.exec("ROLLBACK")
	var slots int
	s.must(s.db.QueryRow(s.ctx, "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()").Scan(&slots))
	if slots != 1 {
		t.Errorf("%d slots are there", slots)
	}
	s.expect("verify", 0)
}

// What kept the background comparison from comparing is told only until a comparison succeeds.
func TestNotVerifiedEndsWithTheNextComparison(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.StartPostgres(t, testenv.Set("max_replication_slots", "2")))
	s.replicate("VERIFY_INTERVAL=100ms")
	s.reached()
	s.exec("SELECT pg_create_physical_replication_slot('spare')")
	testenv.Eventually(t, patience, "no slot is free", func() bool { return s.report().Verify.LastError != "" })
	s.exec("SELECT pg_drop_replication_slot('spare')")
	testenv.Eventually(t, patience, "the comparison has succeeded", func() bool { return s.report().Verify.LastError == "" })
}

func TestVerifySaysWhatToDoWithoutAFreeSlot(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.StartPostgres(t, testenv.Set("max_replication_slots", "1")))
	s.replicate("VERIFY_INTERVAL=100ms")
	s.reached()
	s.expect("verify", 2, "raise max_replication_slots")
	testenv.Eventually(t, patience, "the background comparison says so, too", func() bool {
		return strings.Contains(s.report().Verify.LastError, "raise max_replication_slots")
	})
	s.expect("status", 0, "not verified")
}
