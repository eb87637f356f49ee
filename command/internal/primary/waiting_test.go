package primary

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// P14: a commit that is given up while it waits for the standby goes on waiting, so that nobody reads on the primary what a
// promotion could lose.
func TestACommitThatIsGivenUpStaysInvisible_P14(t *testing.T) {
	first := testenv.StartPostgres(t)
	standby := first.StartStandby(t)
	first.Exec(t, "CREATE TABLE seen (i int); GRANT INSERT ON seen TO command")
	first.SetSynchronous(t, testenv.StandbyName)
	standby.Pause(t)
	defer standby.Resume(t)
	server, err := Open(first.URL("command"), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = server.Conns("test", 1, time.Second).Transact(ctx, Step{SQL: "INSERT INTO seen VALUES (1)"})
	if !errors.Is(err, ErrUnknownOutcome) {
		t.Fatalf("%v, not an unknown outcome", err)
	}
	db, err := pgx.Connect(t.Context(), first.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	// A cancel request arrives within milliseconds.
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		var rows int
		if err := db.QueryRow(t.Context(), "SELECT count(*) FROM seen").Scan(&rows); err != nil || rows != 0 {
			t.Fatalf("%d rows are seen (%v)", rows, err)
		}
	}
	standby.Resume(t)
	testenv.Eventually(t, 20*time.Second, "the commit is seen", func() bool {
		var rows int
		return db.QueryRow(t.Context(), "SELECT count(*) FROM seen").Scan(&rows) == nil && rows == 1
	})
}
