package migrations_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// P7: a heartbeat that reads much WAL for its position, as after a burst in another database, takes its time after
// that. Otherwise the reading would count as lag of the read model.
func TestHeartbeatIsTimedAtItsEnd_P7(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testenv.NewDatabase(t).URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	exec(t, conn, `CREATE OR REPLACE FUNCTION visible_position(known pg_lsn) RETURNS pg_lsn LANGUAGE plpgsql STABLE AS
		$$ BEGIN PERFORM pg_sleep(0.5); RETURN known; END $$`)
	exec(t, conn, "BEGIN; SELECT heartbeat()")
	const timed = "SELECT (at - now() >= interval '500 ms')::text FROM heartbeats ORDER BY number DESC LIMIT 1"
	if text(t, conn, timed) != "true" {
		t.Error("the heartbeat has the time of its beginning")
	}
	exec(t, conn, "COMMIT")
}
