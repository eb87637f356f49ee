package primary

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

// R7: only what is certain says that no primary runs on a host. Of several addresses one may refuse the connection while
// the server behind another one answers.
func TestOnlyAHostWithoutAPrimaryIsDown_R7(t *testing.T) {
	full, starts := &pgconn.PgError{Code: pg.TooManyConnections}, &pgconn.PgError{Code: pg.CannotConnectNow}
	for _, c := range []struct {
		name     string
		err      error
		timeline uint32
		want     bool
	}{
		{"a primary", nil, 1, false},
		{"a standby", nil, 0, true},
		{"nothing listens", fmt.Errorf("dial: %w", syscall.ECONNREFUSED), 0, true},
		{"it starts or stops", fmt.Errorf("connect: %w", starts), 0, true},
		{"it has no connection left", fmt.Errorf("connect: %w", full), 0, false},
		{"one address refuses, the server behind another has no connection left", errors.Join(syscall.ECONNREFUSED, full), 0, false},
		{"no answer", errors.New("timeout"), 0, false},
	} {
		n := node{err: c.err, Identity: pg.Identity{Timeline: c.timeline}}
		if n.down() != c.want {
			t.Errorf("%s: down %v", c.name, n.down())
		}
	}
}
