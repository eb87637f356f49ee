package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/sql/migrations"
)

// Postgres is a private PostgreSQL cluster with roles, database and schema as sql/migrations makes them, and
// configured as a database node of the stack but for defaults. It has fsync=off and full_page_writes=off. Even so,
// kill -9 of its processes loses nothing, because the kernel keeps what was written. Only a test about the loss of the machine
// itself needs Set("fsync", "on").
type Postgres struct {
	proc     *process
	dir      string
	port     int
	database string
	primary  *Postgres // of a standby
	settings []setting // given by the test; a later setting wins
	paused   bool
	secured  *secured
}

// StartPostgres starts a private cluster that lives until the end of the test.
func StartPostgres(t testing.TB, opts ...Option) *Postgres {
	t.Helper()
	o := apply(opts)
	p := newPostgres(t, "postgres", o)
	if err := p.fill(o); err != nil {
		t.Fatalf("postgres: %v", err)
	}
	p.startFirst(t, o.settings)
	return p
}

// newPostgres reserves folder and port; the cleanups run in the reverse order.
func newPostgres(t testing.TB, name string, o options) *Postgres {
	t.Helper()
	user, err := serverOwner()
	if err != nil {
		t.Fatalf("postgres: %v", err)
	}
	run := memoryRun
	if o.disk {
		run = diskRun
	}
	return &Postgres{
		dir:      testFolder(t, run, "pg", user),
		port:     FreePort(t),
		database: migrations.Database,
		proc:     &process{name: name, owner: user},
		secured:  o.secured,
	}
}

func (p *Postgres) startFirst(t testing.TB, settings []setting) {
	t.Helper()
	p.settings = settings
	if err := p.configure(); err != nil {
		t.Fatalf("postgres: %v", err)
	}
	p.proc.logOnFailure(t)
	t.Cleanup(func() {
		if err := p.discard(); err != nil {
			t.Errorf("stop postgres: %v", err)
		}
	})
	p.Start(t)
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// configure writes the configuration outside of the data folder, so that ALTER SYSTEM wins over it and a base
// backup does not copy it.
func (p *Postgres) configure() error {
	path, err := postgresBinary("postgres")
	if err != nil {
		return err
	}
	config := filepath.Join(p.dir, "postgresql.conf")
	p.proc.path, p.proc.dir, p.proc.env = path, p.dir, serverEnv()
	p.proc.args = []string{"-D", p.data(), "-c", "config_file=" + config}
	// On SIGQUIT the postmaster ends its children and gives its shared memory back.
	p.proc.death = syscall.SIGQUIT

	tls, err := p.secured.files(p.dir, p.proc.owner)
	if err != nil {
		return err
	}
	files, err := deploy.Node{
		TLS:  tls,
		Name: "node1", ID: 1, Peer: "node2", Address: deploy.Address{Port: p.port},
		Data: p.data(), Conf: p.dir, Sockets: p.dir,
		SharedBuffersMB: 32, CacheMB: 1024, OSUsers: superusers(), Settings: append(p.defaults(), p.settings...),
	}.Server()
	if err != nil {
		return err
	}
	return writeFiles(files, p.dir, p.proc.owner)
}

// superusers are the users of the operating system that run this process and the server.
func superusers() []string {
	users := []string{"postgres"}
	if me, err := user.Current(); err == nil {
		users = append(users, me.Username)
	}
	return users
}

// defaults are where a cluster for tests is not as it is deployed.
func (p *Postgres) defaults() []setting {
	return []setting{
		{Name: "shared_preload_libraries", Value: ""},
		// The copy of a primary says where its primary is, and needs no slot.
		{Name: "primary_conninfo", Value: ""},
		{Name: "primary_slot_name", Value: ""},
		{Name: "fsync", Value: "off"},
		{Name: "full_page_writes", Value: "off"},
		{Name: "wal_init_zero", Value: "off"},
		{Name: "min_wal_size", Value: "8MB"},
		{Name: "max_wal_size", Value: "512MB"},
		{Name: "max_slot_wal_keep_size", Value: "-1"},
		// A standby that a test has stopped for a while still finds its WAL, even without a slot.
		{Name: "wal_keep_size", Value: "256MB"},
		{Name: "wal_retrieve_retry_interval", Value: "100ms"},
		// Unlike the default, this kind of memory is gone with the data folder after kill -9.
		{Name: "dynamic_shared_memory_type", Value: "mmap"},
		{Name: "huge_pages", Value: "off"},
	}
}

// URL is the connection string of a role of migrations.Roles, whose password in tests is its name,
// or of the superuser postgres, who is reachable only over the Unix socket.
func (p *Postgres) URL(role string) string { return p.databaseURL(role, p.database) }

func (p *Postgres) databaseURL(role, database string) string {
	if role == "postgres" {
		q := url.Values{"host": {p.dir}, "port": {strconv.Itoa(p.port)}, "sslmode": {"disable"}}
		return fmt.Sprintf("postgres://postgres@/%s?%s", database, q.Encode())
	}
	return fmt.Sprintf("postgres://%[1]s:%[1]s@%[2]s/%[3]s?%[4]s", role, p.Addr(), database, p.secured.parameters(p.dir))
}

// Addr is the TCP address, host:port.
func (p *Postgres) Addr() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// Exec runs statements as the superuser in the database of URL.
func (p *Postgres) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if err := execute(p.URL("postgres"), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func execute(url, sql string, args ...any) error {
	return withConn(url, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql, args...)
		return err
	})
}

func queryRow(url, sql string, args []any, into ...any) error {
	return withConn(url, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, sql, args...).Scan(into...)
	})
}

func withConn(url string, do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startBudget)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, conn), conn.Close(ctx))
}

// Start starts the server again, after Stop or Kill, on the same port with the same data.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
}

func (p *Postgres) start() error {
	p.paused = false
	if err := p.proc.start(); err != nil {
		return err
	}
	return p.proc.await(p.ready)
}

// ready reads postmaster.pid, as pg_ctl does: the process id in line 1 shows whether the file is stale, and
// line 8 has the status (src/include/utils/pidfile.h).
func (p *Postgres) ready() error {
	b, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	pid, _ := p.proc.state()
	lines := strings.Split(string(b), "\n")
	if len(lines) < 8 || strings.TrimSpace(lines[0]) != strconv.Itoa(pid) || strings.TrimSpace(lines[7]) != "ready" {
		return errNotYet
	}
	return nil
}

// Stop shuts the server down in its fast mode: clients are cut off, and a standby still gets all WAL.
func (p *Postgres) Stop(t testing.TB) {
	t.Helper()
	if err := p.proc.end(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// PID is the process id of the postmaster; backends and workers are its children.
func (p *Postgres) PID() int {
	pid, _ := p.proc.state()
	return pid
}
