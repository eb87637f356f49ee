package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/sql/migrations"
)

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func TestBootstrapCanBeRepeatedAndSetsPasswords(t *testing.T) {
	p := testenv.StartPostgres(t)
	super := connect(t, p.URL("postgres"))
	passwords := map[string]string{}
	for _, r := range migrations.Roles {
		passwords[r.Name] = r.Name // as testenv has them
	}
	for range 2 {
		if err := migrations.Bootstrap(t.Context(), super, passwords); err != nil {
			t.Fatal(err)
		}
	}
	connect(t, p.URL("command"))
	passwords["command"] = `it's "new"\`
	if err := migrations.Bootstrap(t.Context(), super, passwords); err != nil {
		t.Fatal(err)
	}
	if conn, err := pgx.Connect(t.Context(), p.URL("command")); err == nil {
		t.Errorf("the old password is accepted still; closing: %v", conn.Close(t.Context()))
	}
}

func TestTwoStartersDoNotRace(t *testing.T) {
	db := testenv.NewDatabase(t)
	all, err := migrations.List(t.Context(), db.URL("migrator"))
	if err != nil {
		t.Fatal(err)
	}
	for range all { // back to the empty database
		if _, err := migrations.Down(t.Context(), db.URL("migrator")); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var applied []string
	for range 4 {
		wg.Go(func() {
			files, err := migrations.Up(t.Context(), db.URL("migrator"))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			applied = append(applied, files...)
		})
	}
	wg.Wait()
	list, err := migrations.List(t.Context(), db.URL("migrator"))
	if err != nil || len(applied) != len(list) {
		t.Fatalf("four starters applied %v of %d migrations, %v", applied, len(list), err)
	}
	for _, s := range list {
		if s.AppliedAt.IsZero() {
			t.Errorf("%s is pending", s.File)
		}
	}
}

func TestRolesHaveTheLeastPrivileges(t *testing.T) {
	db := testenv.NewDatabase(t)
	for _, c := range []struct{ role, sql string }{
		{"command", "CREATE TABLE t (a int)"},
		{"command", "DELETE FROM users"},
		{"command", "DELETE FROM raffles"},
		{"command", "DELETE FROM cancelled_bids"},
		{"command", "UPDATE bids SET price = 1"},
		{"command", "UPDATE users SET role = 'admin'"},
		{"command", "TRUNCATE bids"},
		{"query", "INSERT INTO products (name) VALUES ('x')"},
		{"query", "DELETE FROM bids"},
		{"query", "SELECT nextval('bid_ids')"},
		{"query", "SELECT heartbeat()"},
		{"replicator", "DELETE FROM heartbeats"},
		{"replicator", "DELETE FROM bids"},
		{"replicator", "SELECT password_hash FROM users"},
		{"replicator", "CREATE PUBLICATION mine FOR TABLE bids"},
		{"exporter", "SELECT * FROM bids"},
		{"exporter", "SELECT wal.commits('0/0', '0/0')"},
		{"exporter", "SELECT wal.history(1)"},
		{"query", "SELECT wal.pg_get_wal_records_info('0/0', '0/0')"},
		{"migrator", "CREATE FUNCTION wal.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"},
	} {
		_, err := connect(t, db.URL(c.role)).Exec(t.Context(), c.sql)
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != "42501" { // insufficient_privilege
			t.Errorf("%s may %s: %v", c.role, c.sql, fmt.Sprint(err))
		}
	}
}

// A downgrade leaves the schema as it is: programs of an older release find it up to date.
func TestUpLeavesALaterSchemaAlone(t *testing.T) {
	db := testenv.NewDatabase(t)
	db.Exec(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	if applied, err := migrations.Up(t.Context(), db.URL("migrator")); err != nil || len(applied) != 0 {
		t.Errorf("applied %v, %v", applied, err)
	}
}
