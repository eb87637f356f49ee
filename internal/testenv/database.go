package testenv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/sql/migrations"
)

// Database is a private, migrated and otherwise empty database on the shared cluster.
type Database struct {
	Name    string
	cluster *Postgres
}

var databases atomic.Int64

// NewDatabase clones the migrated database on the shared cluster, in some 15 ms, and drops the clone at the end
// of the test, with its slots and its connections. Roles, WAL and pg_stat_replication belong to the cluster and
// are shared with other tests; a test that stops the server or looks at these needs StartPostgres. So does a test that
// keeps a transaction open, if it runs beside others: until its end no slot of any database can be made.
func NewDatabase(t testing.TB) *Database {
	t.Helper()
	d := &Database{
		cluster: SharedPostgres(t),
		Name:    fmt.Sprintf("%s_%d", migrations.Database, databases.Add(1)),
	}
	admin := d.cluster.URL("postgres")
	if err := d.create(admin); err != nil {
		t.Fatalf("new database: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", d.Name, d.log())
		}
		if err := d.drop(admin); err != nil {
			t.Errorf("drop database %s: %v", d.Name, err)
		}
	})
	return d
}

// URL is the connection string of a role, as Postgres.URL.
func (d *Database) URL(role string) string { return d.cluster.databaseURL(role, d.Name) }

// Addr is the TCP address, host:port, of the shared cluster.
func (d *Database) Addr() string { return d.cluster.Addr() }

// Exec runs statements as the superuser in this database.
func (d *Database) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if err := execute(d.URL("postgres"), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (d *Database) create(admin string) error {
	return withConn(admin, func(ctx context.Context, conn *pgx.Conn) error {
		// file_copy, because the default writes the whole database to the WAL, which every slot then reads.
		_, err := conn.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s STRATEGY file_copy OWNER migrator", d.Name, sharedTemplate))
		if err != nil {
			return err
		}
		return copyGrants(ctx, conn, sharedTemplate, d.Name)
	})
}

// copyGrants gives a clone the privileges of its template: CREATE DATABASE copies the privileges on the objects
// in the database, not the privileges on the database itself.
func copyGrants(ctx context.Context, conn *pgx.Conn, from, to string) error {
	rows, err := conn.Query(ctx, `SELECT format('GRANT %s ON DATABASE %I TO %I', a.privilege_type, $2::text, r.rolname)
		FROM pg_database d, aclexplode(d.datacl) a JOIN pg_roles r ON r.oid = a.grantee
		WHERE d.datname = $1`, from, to)
	if err != nil {
		return err
	}
	grants, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, fmt.Sprintf("REVOKE ALL ON DATABASE %s FROM PUBLIC;", to)+strings.Join(grants, ";"))
	return err
}

// drop waits for walsenders to leave their slots, because DROP DATABASE, even WITH FORCE, refuses while a slot
// of the database is active. It drops inactive slots.
func (d *Database) drop(admin string) error {
	return withConn(admin, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS false", d.Name))
		if err != nil {
			return err
		}
		err = poll(stopBudget, func() error {
			var active int
			err := conn.QueryRow(ctx, `SELECT count(pg_terminate_backend(active_pid)) FROM pg_replication_slots
				WHERE database = $1 AND active_pid IS NOT NULL`, d.Name).Scan(&active)
			if err == nil && active > 0 {
				err = fmt.Errorf("%d slots are still active", active)
			}
			return err
		})
		_, dropErr := conn.Exec(ctx, fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", d.Name))
		return errors.Join(err, dropErr)
	})
}

// log is what the server logged about this database.
func (d *Database) log() string {
	var own strings.Builder
	for line := range strings.Lines(d.cluster.proc.output()) {
		if strings.Contains(line, "@"+d.Name+" ") {
			own.WriteString(line)
		}
	}
	return own.String()
}

// sharedTemplate is the shared cluster's migrated database. Nobody may connect to it, because a database with
// connections can't be cloned.
const sharedTemplate = migrations.Database + "_template"

var shared = sync.OnceValues(startShared)

// SharedPostgres is the cluster of this test process that NewDatabase uses. It has no database
// pyramid: its URL leads to the database postgres, where only the superuser has anything to do.
func SharedPostgres(t testing.TB) *Postgres {
	t.Helper()
	p, err := shared()
	if err != nil {
		t.Fatalf("shared postgres: %v", err)
	}
	return p
}

// startShared lets the cluster run until the process ends, because no test knows whether it is the last.
func startShared() (*Postgres, error) {
	user, err := serverOwner()
	if err != nil {
		return nil, err
	}
	dir, err := newFolder(memoryRun, "pg", user)
	if err != nil {
		return nil, err
	}
	port, _, err := reservePort()
	if err != nil {
		return nil, err
	}
	p := &Postgres{
		dir: dir, port: port, database: "postgres",
		proc: &process{name: "shared postgres", owner: user},
	}
	if err := errors.Join(p.fill(options{}), p.configure()); err != nil {
		return nil, err
	}
	if err := p.start(); err != nil {
		return nil, errors.Join(err, p.discard())
	}
	err = execute(p.URL("postgres"), fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", migrations.Database, sharedTemplate))
	if err == nil {
		err = execute(p.URL("postgres"), fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS false", sharedTemplate))
	}
	return p, err
}
