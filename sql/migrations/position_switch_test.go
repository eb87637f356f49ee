package migrations_test

import (
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// An archive that shall have all WAL of the last minute makes the server leave the rest of a file empty, which is more than
// one call of node_position() reads.
func TestNodePositionPassesASwitch_R7(t *testing.T) {
	p := testenv.StartPostgres(t, testenv.WALFiles(16))
	p.Exec(t, seenTable)
	super, reader := connect(t, p.URL("postgres")), connect(t, p.URL("query"))
	exec(t, super, "CHECKPOINT")
	known := ask(t, reader, node{})
	for i := range 3 {
		exec(t, super, "INSERT INTO seen VALUES (0)")
		exec(t, super, "SELECT pg_switch_wal()")
		exec(t, super, "INSERT INTO seen VALUES (0)")
		// A call reads up to the switch, the next one the switch, and the third what follows.
		for range 3 {
			known = ask(t, reader, known)
		}
		if known.at.LSN != known.flushed || known.rows != 2*i+2 {
			t.Errorf("after a switch: %+v", known)
		}
	}
}
