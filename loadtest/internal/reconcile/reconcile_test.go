package reconcile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func ignore(string, int64, int64) {}

// written makes a closed journal of entries and returns its path. Bids of the run have ids above after.
func written(t *testing.T, prefix string, after int64, entries ...Entry) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), prefix)
	j, err := CreateJournal(path, prefix, after)
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

// second is when the bids of these tests were made, in microseconds since 1970.
const second = 1_700_000_000_000_001

// sent is an entry of the bid that user 1 makes for size 270 of raffle 1.
func sent(serial uint32, state State) Entry {
	return Entry{Serial: serial, State: state, Raffle: 1, User: 1, Size: 270, Price: 1000, Quantity: 1}
}

func acknowledged(serial uint32, id int64) Entry {
	e := sent(serial, Acknowledged)
	e.ID, e.Created = id, second+id
	return e
}

func TestJournalKeepsWhatWasWrittenBeforeAKill(t *testing.T) {
	first := acknowledged(0, 7)
	last := Entry{Serial: 1<<32 - 1, Raffle: 1<<32 - 1, User: 1<<32 - 1, Price: 1<<32 - 1, Quantity: 1<<16 - 1, Size: 32767, State: Unknown, Retries: 255}
	path := written(t, "run", 99, first, last)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content  []byte
		complete bool
	}{
		"closed":                   {raw, true},
		"killed":                   {raw[:len(raw)-entrySize], false},
		"killed amid an entry":     {raw[:len(raw)-1], false},
		"closed, an entry is gone": {append(raw[:len(raw)-3*entrySize:len(raw)-3*entrySize], raw[len(raw)-2*entrySize:]...), false},
	} {
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		var got []Entry
		h, complete, err := readJournal(path, func(e Entry) { got = append(got, e) })
		if err != nil || h != (head{99, "run"}) || complete != c.complete || got[len(got)-1] != last {
			t.Errorf("%s: %+v, %+v, complete %v, %v", name, h, got, complete, err)
		}
	}
}

func TestJournalsThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("something else entirely"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, paths := range map[string][]string{
		"no such file":   {filepath.Join(dir, "missing")},
		"not a journal":  {other},
		"two entries":    {written(t, "twice", 0, acknowledged(3, 1), acknowledged(3, 2))},
		"state 9":        {written(t, "state", 0, Entry{State: 9})},
		"and bid 0":      {written(t, "noid", 0, Entry{State: Acknowledged})},
		"of another run": {written(t, "one", 7), written(t, "two", 8)},
	} {
		if _, err := Load(paths...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := CreateJournal(other, "run", 0); err == nil {
		t.Error("an existing file was overwritten")
	}
}

// A 201 counts only if it shows the bid that was sent.
func TestAnswersShowWhatWasSent_W1(t *testing.T) {
	const body = `{"id":5,"raffle_id":1,"user_id":1,"size":270,"price":1000,"quantity":1,"created_at":"2026-01-02T03:04:05.000006Z"}`
	for name, c := range map[string]struct {
		location, body string
		ok             bool
	}{
		"right":            {"/v1/raffles/1/bids/5", body, true},
		"another price":    {"/v1/raffles/1/bids/5", strings.Replace(body, "1000", "1001", 1), false},
		"another user":     {"/v1/raffles/1/bids/5", strings.Replace(body, `"user_id":1`, `"user_id":2`, 1), false},
		"another location": {"/v1/raffles/1/bids/6", body, false},
		"no id":            {"/v1/raffles/1/bids/0", strings.Replace(body, `"id":5`, `"id":0`, 1), false},
		"no body":          {"/v1/raffles/1/bids/5", "", false},
	} {
		e := sent(0, Unknown)
		if ok := e.Answered([]byte(c.location), []byte(c.body)); ok != c.ok || ok && (e.ID != 5 || e.Created != 1767323045000006) {
			t.Errorf("%s: %v, %+v", name, ok, e)
		}
	}
}

func TestOnlyTheExactFormOfAKeyIsOurs(t *testing.T) {
	l, err := Load(written(t, "load-a-0", 0, acknowledged(0, 1)), written(t, "load-a-1", 0, acknowledged(12, 2)))
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
	exec(`DROP INDEX bids_key`) // it would refuse a double
	exec(`INSERT INTO products (name, model, color, category, image_url, release_price, release_date) VALUES ('', '', '', '', '', 1, now())`)
	exec(`INSERT INTO raffles (product_id, seller_id, starts_at, ends_at) VALUES (1, 1, now(), now() + interval '1 day')`)
	for id, key := range bids {
		exec(`INSERT INTO bids (raffle_id, id, user_id, size, price, quantity, created_at, idempotency_key, request_hash)
			VALUES (1, $1, 1, 270, 1000, 1, to_timestamp(0) + $2::bigint * interval '1 us', nullif($3, ''), CASE WHEN $3 = '' THEN NULL ELSE '\x00'::bytea END)`,
			id, second+id, key)
	}
	return url
}

// W1, W2: bids that are lost, doubled, committed without an answer or there without a reason are told apart.
func TestPostgresIsHeldAgainstTheJournal_W1_W2(t *testing.T) {
	retried := sent(5, Unknown)
	retried.Retries = 3
	altered := acknowledged(9, 110)
	altered.Price = 999
	path := written(t, "k", 100,
		acknowledged(0, 101), acknowledged(1, 102), acknowledged(2, 103), acknowledged(3, 104), acknowledged(4, 105),
		retried, sent(6, Unknown), sent(7, Refused), sent(8, Refused), altered)
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
		110: "k-9",  // at another price
		111: "k-77", // never sent, by the journal
	})
	if id, err := LastID(t.Context(), url); err != nil || id != 115 {
		t.Errorf("the last id is %d, %v", id, err)
	}
	l, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	r, lsn := l.Postgres(t.Context(), url, ignore)
	if r.Acknowledged != 6 || r.Stored != 8 || r.Lost != 2 || r.Doubled != 1 || r.Unknown != 2 || r.UnknownCommitted != 1 ||
		r.Unexpected != 3 || r.Altered != 1 || r.Retries != 3 || r.Problem != "" || r.Clean() || lsn == "" {
		t.Errorf("%+v at %q", r, lsn)
	}
	if len(r.Differences) != 1 || !strings.Contains(strings.Join(r.Differences, " "), "bid 110 of key k-9 is stored as {Raffle:1 User:1 Size:270 Price:1000") {
		t.Errorf("altered: %q", r.Differences)
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
	l, err := Load(written(t, "k", 0, acknowledged(0, 1)))
	if err != nil {
		t.Fatal(err)
	}
	r, _ := l.Postgres(t.Context(), "postgres://127.0.0.1:1/none", ignore)
	if r.Problem == "" || r.Clean() || r.Lost != 0 {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	r = l.Redis(ctx, readAPI(t, map[string][]shown{}, 0, "9"), "0/1", ignore)
	if r.Problem == "" || r.Clean() || r.Lost != 0 {
		t.Errorf("a lag that stays: %+v", r)
	}
}
