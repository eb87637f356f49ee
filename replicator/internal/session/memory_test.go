package session

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
)

// committedBy runs a statement and returns where the WAL has its commit.
func committedBy(t *testing.T, admin *pgx.Conn, sql string) (c projection.Commit) {
	t.Helper()
	var before, begins string
	var at time.Time
	must(t, admin.QueryRow(t.Context(), "SELECT pg_current_wal_insert_lsn()::text").Scan(&before))
	_, err := admin.Exec(t.Context(), sql)
	must(t, err)
	must(t, admin.QueryRow(t.Context(), `SELECT start_lsn::text, substring(description FROM '\d+-\d+-\d+ \d+:\d+:\d+\.\d+\S+')::timestamptz
		FROM wal.pg_get_wal_records_info($1::text::pg_lsn, pg_current_wal_flush_lsn()) WHERE record_type = 'COMMIT' LIMIT 1`, before).Scan(&begins, &at))
	c.Begins, err = lsn.Parse(begins)
	must(t, err)
	c.At = at.UnixMicro()
	return c
}

// P10: what the primary's heartbeats and its WAL say about a checkpoint.
func TestWhatThePrimaryRemembersOfACheckpoint_P10(t *testing.T) {
	db := testenv.NewDatabase(t)
	c := reachIn(t, newReplicator(t, db.URL("replicator"))).control
	admin, err := pgx.Connect(t.Context(), db.URL("postgres"))
	must(t, err)
	defer admin.Close(t.Context())
	db.Exec(t, "DELETE FROM heartbeats")
	// The heartbeats 11 to 14 begin at the positions 0/110 to 0/140.
	known := committedBy(t, admin, "INSERT INTO heartbeats SELECT n, 7, now(), 1, ('0/' || n || '0')::pg_lsn, '0/0' FROM generate_series(11, 14) n")
	check := func(name string, last projection.Commit, number, nonce int64, at lsn.LSN, want memory) {
		t.Helper()
		got, err := remember(t.Context(), c.conn, readmodel.Checkpoint{LSN: at, Commit: last.Begins, CommitAt: last.At,
			Beat: heartbeat.Beat{Number: number, Nonce: nonce}})
		if err != nil || got != want {
			t.Errorf("%s: %+v, want %+v, %v", name, got, want, err)
		}
	}
	forgot, later := memory{forgot: true}, memory{later: true}
	check("the last heartbeat", projection.Commit{}, 14, 7, 0x145, memory{})
	check("the last heartbeat and a commit", known, 14, 7, 0x145, memory{proven: true})
	check("another commit at its place", projection.Commit{Begins: known.Begins, At: known.At + 1}, 14, 7, 0x145, forgot)
	check("no commit at its place", projection.Commit{Begins: known.Begins + 8, At: known.At}, 14, 7, 0x145, forgot)
	check("a commit whose WAL is gone", projection.Commit{Begins: 0x10000, At: known.At}, 14, 7, 0x145, memory{})
	check("another heartbeat of this number", known, 13, 8, 0x135, memory{forgot: true, proven: true})
	check("a heartbeat that is still to come", projection.Commit{}, 15, 7, 0x155, forgot)
	check("one that is older than all", projection.Commit{}, 10, 8, 0x105, memory{})
	check("the next one begins before", projection.Commit{}, 12, 7, 0x13f, memory{})
	check("the second one after it begins at the checkpoint", projection.Commit{}, 12, 7, 0x140, later)
	check("no heartbeat yet", known, 0, 0, 0x145, memory{proven: true, later: true})
	db.Exec(t, "DELETE FROM heartbeats")
	check("none in the table", projection.Commit{}, 14, 7, 0x145, forgot)
	db.Exec(t, "DROP SCHEMA wal CASCADE")
	check("no way to read the WAL", known, 0, 0, 0x145, later)
	db.Exec(t, "DROP TABLE heartbeats")
	check("no table", projection.Commit{}, 14, 7, 0x145, forgot)
}
