package sqlbook

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// R6: when Redis goes away, many reads come to pgpool-II at once, on connections that have prepared nothing yet. Each is
// answered. The time is that of a hang, not a budget.
func TestTheFirstReadsThroughPgpoolAreAnswered_R6(t *testing.T) {
	db := testenv.StartPostgres(t)
	pool, err := NewPool(testenv.StartPgpool(t, db, db.StartStandby(t)).URL("query"), bidbook.ReplicaConns, bidbook.ScanBudget)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	replica := New(pool, bidbook.PathReplica, new(primary.Watch))
	ended := make(chan error)
	for range bidbook.ReplicaConns {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			for {
				_, _, err := replica.Bids(ctx, bidbook.BidsQuery{RaffleID: 1, Size: 270, Order: bidbook.Newest, Limit: 1}, lsn.Position{})
				var late *pgconn.ConnectError // sixteen logins at once take their time on a busy machine
				if !errors.As(err, &late) || ctx.Err() != nil {
					ended <- err
					return
				}
			}
		}()
	}
	for range bidbook.ReplicaConns {
		if err := <-ended; !errors.Is(err, bidbook.ErrNotFound) {
			t.Errorf("R6: %v", err)
		}
	}
}

// R6: node 0 is the standby and is away for less time than the health check needs to notice it. Whatever pgpool-II makes of
// the connections in between, it serves new ones once the node is back.
func TestPgpoolServesAfterAShortAbsenceOfTheStandby_R6(t *testing.T) {
	db := testenv.StartPostgres(t)
	standby := db.StartStandby(t)
	pgpool := testenv.StartPgpool(t, standby, db)
	answers := func() bool {
		conn, err := pgx.Connect(t.Context(), pgpool.URL("query"))
		if err != nil {
			t.Log(err)
			return false
		}
		return errors.Join(conn.Ping(t.Context()), conn.Close(t.Context())) == nil
	}
	standby.Stop(t)
	testenv.Eventually(t, 30*time.Second, "a child has noticed that the standby is away", func() bool { answers(); return answers() })
	standby.Start(t)
	good := 0
	testenv.Eventually(t, 30*time.Second, "each new connection is served", func() bool {
		if good++; !answers() {
			good = 0
		}
		return good == 20
	})
}
