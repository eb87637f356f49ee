package sqlbook

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/sql/queries"
)

// The path scan shows what an index saves, so no plan of it may look anything up in an index, also not the plan that
// PostgreSQL makes for a statement that is used often, and not if a scan of the table costs more than anything else.
func TestScansLookNothingUpInAnIndex(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), testenv.NewDatabase(t).URL("query"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off"); err != nil {
		t.Fatal(err)
	}
	for name, indexed := range map[string]bool{
		"ScanBidsNewest": false, "ScanBidsHighest": false, "ScanBidsOfSize": false, "ScanRaffles": false,
		"BidsNewest": true, // so that the test sees what an index looks like
	} {
		text := queries.Read(name)
		parameters := 0
		for strings.Contains(text, fmt.Sprintf("$%d", parameters+1)) {
			parameters++
		}
		if _, err := conn.Exec(t.Context(), "PREPARE "+name+" AS "+text); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rows, err := conn.Query(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE %s(%s)", name, strings.TrimSuffix(strings.Repeat("NULL, ", parameters), ", ")))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if plan := strings.Join(lines, "\n"); strings.Contains(plan, "Index Cond") != indexed {
			t.Errorf("%s:\n%s", name, plan)
		}
	}
}
