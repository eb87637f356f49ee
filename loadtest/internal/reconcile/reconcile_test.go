package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/frontdoor"
)

func ignore(string, int64, int64) {}

// written makes a journal of entries and returns its path.
func written(t *testing.T, prefix string, entries ...Entry) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), prefix)
	j, err := CreateJournal(path, prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := j.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func acknowledged(serial uint32, id int64) Entry {
	return Entry{Serial: serial, Raffle: 1, Size: 270, ID: id, State: Acknowledged}
}

func TestJournalKeepsWhatWasWrittenBeforeAKill(t *testing.T) {
	first, second := acknowledged(0, 7), Entry{Serial: 1<<32 - 1, Raffle: 1<<32 - 1, Size: 32767, State: Unknown, Retries: 255}
	path := written(t, "run", first, second)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(raw, raw[len(raw)-entrySize:len(raw)-1]...), 0o600); err != nil { // a broken record
		t.Fatal(err)
	}
	var got []Entry
	prefix, err := readJournal(path, func(e Entry) { got = append(got, e) })
	if err != nil || prefix != "run" || len(got) != 2 || got[0] != first || got[1] != second {
		t.Errorf("%q, %+v, %v", prefix, got, err)
	}
}

func TestJournalsThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("something else entirely"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, path := range map[string]string{
		"no such file":  filepath.Join(dir, "missing"),
		"not a journal": other,
		"two entries":   written(t, "twice", acknowledged(3, 1), acknowledged(3, 2)),
		"state 9":       written(t, "state", Entry{State: 9}),
		"and bid 0":     written(t, "noid", Entry{State: Acknowledged}),
	} {
		if _, err := Load(0, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := CreateJournal(other, "run"); err == nil {
		t.Error("an existing file was overwritten")
	}
}

func TestOnlyTheExactFormOfAKeyIsOurs(t *testing.T) {
	l, err := Load(0, written(t, "load-a-0", acknowledged(0, 1)), written(t, "load-a-1", acknowledged(12, 2)))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"load-a-0-0": 0, "load-a-1-12": 12, "load-a-1-012": -1, "load-a-1-": -1, "load-a-2-1": -1, "": -1, "load-a-0-4294967296": -1} {
		_, serial, ok := l.find(key)
		if ok != (want >= 0) || ok && int(serial) != want {
			t.Errorf("%q is %d, %v", key, serial, ok)
		}
	}
}

// stored makes a database with bids; each is its id and its key, "" for none.
func stored(t *testing.T, bids map[int64]string) string {
	t.Helper()
	url := testenv.NewDatabase(t).URL("migrator")
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	exec := func(sql string, args ...any) {
		if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`INSERT INTO users (login, password_hash) VALUES ('a', 'b')`)
	exec(`INSERT INTO products (name, model, color, category, image_url, release_price, release_date) VALUES ('', '', '', '', '', 1, now())`)
	exec(`INSERT INTO raffles (product_id, seller_id, starts_at, ends_at) VALUES (1, 1, now(), now() + interval '1 day')`)
	for id, key := range bids {
		// Each row has another user, because the unique index over user and key would otherwise refuse the double.
		exec(`INSERT INTO bids (raffle_id, id, user_id, size, price, created_at, idempotency_key, request_hash)
			VALUES (1, $1, $1, 270, 1, now(), nullif($2, ''), CASE WHEN $2 = '' THEN NULL ELSE '\x00'::bytea END)`, id, key)
	}
	return url
}

// W1, W2: bids that are lost, doubled, committed without an answer or there without a reason are told apart.
func TestPostgresIsHeldAgainstTheJournal_W1_W2(t *testing.T) {
	path := written(t, "k",
		acknowledged(0, 101), acknowledged(1, 102), acknowledged(2, 103), acknowledged(3, 104), acknowledged(4, 105),
		Entry{Serial: 5, Raffle: 1, Size: 270, State: Unknown, Retries: 3}, Entry{Serial: 6, Raffle: 1, Size: 270, State: Unknown},
		Entry{Serial: 7, State: Refused}, Entry{Serial: 8, State: Refused})
	url := stored(t, map[int64]string{
		99:  "k-1", // from before the run
		101: "k-0", 102: "k-1",
		// 103 is lost
		104: "k-3", 114: "k-3", // doubled
		115: "k-4", // under another id than the one acknowledged: that one is lost
		106: "k-5", // no answer, but stored
		107: "k-7", // refused, but stored
		108: "",    // no key
		109: "somebody else's",
	})
	if id, err := LastID(t.Context(), url); err != nil || id != 115 {
		t.Errorf("the last id is %d, %v", id, err)
	}
	l, err := Load(100, path)
	if err != nil {
		t.Fatal(err)
	}
	r, lsn := l.Postgres(t.Context(), url, ignore)
	if r.Acknowledged != 5 || r.Stored != 6 || r.Lost != 2 || r.Doubled != 1 || r.Unknown != 2 || r.UnknownCommitted != 1 ||
		r.Unexpected != 2 || r.Retries != 3 || r.Problem != "" || r.Clean() || lsn == "" {
		t.Errorf("%+v at %q", r, lsn)
	}
	if fmt.Sprint(r.LostKeys, r.DoubledKeys, r.UnknownKeys) != "[k-2 k-4] [k-3] [k-5]" {
		t.Errorf("lost %v, doubled %v, unknown %v", r.LostKeys, r.DoubledKeys, r.UnknownKeys)
	}
}

// The rows are read from the node that takes writes, wherever it stands in the URL.
func TestThePrimaryIsFoundAmongTheHosts(t *testing.T) {
	primary := testenv.StartPostgres(t)
	standby := primary.StartStandby(t)
	config, err := pgx.ParseConfig(standby.URL("replicator"))
	if err != nil {
		t.Fatal(err)
	}
	first := fmt.Sprintf("@%s:%d,", config.Host, config.Port)
	if id, err := LastID(t.Context(), strings.Replace(primary.URL("replicator"), "@", first, 1)); err != nil || id != 0 {
		t.Errorf("%d, %v", id, err)
	}
	if _, err := LastID(t.Context(), standby.URL("replicator")); err == nil {
		t.Error("the standby was taken for the primary")
	}
}

func TestAProblemHoldsNothing(t *testing.T) {
	l, err := Load(0, written(t, "k", acknowledged(0, 1)))
	if err != nil {
		t.Fatal(err)
	}
	r, _ := l.Postgres(t.Context(), "postgres://127.0.0.1:1/none", ignore)
	if r.Problem == "" || r.Clean() || r.Lost != 0 {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	r = l.Redis(ctx, readAPI(t, nil, "9"), "0/1", ignore)
	if r.Problem == "" || r.Clean() || r.Lost != 0 {
		t.Errorf("a lag that stays: %+v", r)
	}
}

// readAPI answers pages of two ids.
func readAPI(t *testing.T, ids []int64, lag string) *frontdoor.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Read-Path") != "redis" || r.Header.Get("Min-LSN") != "0/1" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		var from int
		_, _ = fmt.Sscan(r.URL.Query().Get("cursor"), &from)
		answer := map[string]any{"next_cursor": nil}
		var bids []map[string]any
		for _, id := range ids[from:min(from+2, len(ids))] {
			bids = append(bids, map[string]any{"id": id, "size": 270})
		}
		answer["bids"] = bids
		if from+2 < len(ids) {
			answer["next_cursor"] = fmt.Sprint(from + 2)
		}
		w.Header().Set("Read-Path", "redis")
		w.Header().Set("Read-Lag-Ms", lag)
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.Close)
	return frontdoor.New(s.URL)
}

// P1, R1: a bid that Redis lacks, that Redis has twice, or that only Redis has is found, also behind the first page.
func TestRedisIsHeldAgainstTheJournal_P1_R1(t *testing.T) {
	url := stored(t, map[int64]string{50: "", 101: "k-0", 102: "k-1", 103: "k-2", 104: "k-3"})
	l, err := Load(100, written(t, "k", acknowledged(0, 101), acknowledged(1, 102), acknowledged(2, 103),
		Entry{Serial: 3, Raffle: 1, Size: 270, State: Unknown}))
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := l.Postgres(t.Context(), url, ignore); !r.Clean() {
		t.Fatalf("%+v", r)
	}
	r := l.Redis(t.Context(), readAPI(t, []int64{104, 103, 103, 200, 102, 50, 49, 48}, "0"), "0/1", ignore)
	if r.Stored != 3 || r.Lost != 1 || r.Doubled != 1 || r.Unexpected != 1 || r.UnknownCommitted != 1 || fmt.Sprint(r.LostKeys) != "[k-0]" || r.Problem != "" {
		t.Errorf("%+v", r)
	}
	r = l.Redis(t.Context(), readAPI(t, []int64{104, 103, 102, 101, 50}, "0"), "0/1", ignore)
	if !r.Clean() || r.Stored != 4 {
		t.Errorf("%+v", r)
	}
}
