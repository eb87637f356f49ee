package bid_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

// A plan that a session makes while the tables are empty finds keys by all columns of the index, so the plan stays
// fast when the tables have grown.
func TestPlansOfEmptyTablesProbe(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	conn := super(t, db)
	for sql, call := range map[string]string{
		writedb.PlaceBids: "('{1}', '{1}', '{1}', '{1}', '{1}', '{k}', '{x}', '{t}', '{0}')",
		writedb.FindKeys:  "('{1}', '{1}', '{k}')",
	} {
		for _, s := range []string{"SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; SET pyramid.refused = '{}'", "PREPARE p AS " + sql} {
			if _, err := conn.Exec(t.Context(), s, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatal(err)
			}
		}
		plan := planOf(t, conn, call)
		for _, index := range []string{"bids_key on bids", "cancelled_bids_key on cancelled_bids"} {
			_, after, found := strings.Cut(plan, "using "+index)
			if _, condition, _ := strings.Cut(after, "\n"); !found || !strings.HasPrefix(strings.TrimSpace(condition), "Index Cond:") || !strings.Contains(condition, "idempotency_key =") {
				t.Errorf("%s is not probed:\n%s", index, plan)
			}
		}
		execute(t, conn, "DEALLOCATE p")
	}
}

// The search for the sizes of a raffle goes from one size to the next through an index.
func TestSizesAreProbed(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	conn := super(t, db)
	execute(t, conn, "SET enable_seqscan = off")
	execute(t, conn, "SET plan_cache_mode = force_generic_plan")
	execute(t, conn, "PREPARE p AS "+writedb.LimitSizes)
	plan := planOf(t, conn, "(64, '{1}', '{1}', '{1}')")
	if strings.Contains(plan, "Seq Scan on bids") || strings.Count(plan, " on bids") != strings.Count(plan, "Index Cond: ") || strings.Contains(plan, "Sort Key: b") {
		t.Errorf("not all sizes are probed:\n%s", plan)
	}
}

// planOf is the plan of the prepared statement p with its arguments.
func planOf(t *testing.T, conn *pgx.Conn, call string) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "EXPLAIN (COSTS off) EXECUTE p "+call, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
