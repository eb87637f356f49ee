package testenv

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/sql/migrations"
)

// Pgpool is a private pgpool-II before a primary and a standby. Reads of the database pyramid go to the standby
// while it is up. It neither promotes a standby nor fails over. It only follows the roles that the nodes have.
type Pgpool struct {
	proc  *process
	port  int
	nodes []*Postgres
}

// StartPgpool starts pgpool-II and waits until it knows the nodes and their roles. It lives until
// the end of the test.
func StartPgpool(t testing.TB, primary, standby *Postgres, opts ...Option) *Pgpool {
	t.Helper()
	path, err := serverBinary("pgpool", "pgpool2")
	if err != nil {
		t.Fatal(err)
	}
	user, err := serverOwner()
	if err != nil {
		t.Fatal(err)
	}
	dir := testFolder(t, memoryRun, "pgpool", user)
	g := &Pgpool{port: FreePort(t), nodes: []*Postgres{primary, standby}}
	// -D forgets the node states of an earlier run. On SIGINT pgpool ends its children too.
	g.proc = &process{name: "pgpool", path: path, dir: dir, env: serverEnv(), owner: user, death: syscall.SIGINT}
	g.proc.args = []string{"-n", "-D", "-f", "pgpool.conf", "-F", "pcp.conf", "-a", "pool_hba.conf"}
	settings := append(g.defaults(FreePort(t)), g.backends()...)
	if err := g.configure(append(settings, apply(opts).settings...)); err != nil {
		t.Fatal(err)
	}
	g.proc.runUntilEnd(t)
	g.Start(t)
	return g
}

func (g *Pgpool) defaults(pcpPort int) []setting {
	return []setting{
		{"listen_addresses", "127.0.0.1"},
		{"port", strconv.Itoa(g.port)},
		{"socket_dir", g.proc.dir},
		{"pcp_listen_addresses", "127.0.0.1"},
		{"pcp_port", strconv.Itoa(pcpPort)},
		{"pcp_socket_dir", g.proc.dir},
		{"pid_file_name", filepath.Join(g.proc.dir, "pid")},
		{"logdir", g.proc.dir},
		{"backend_clustering_mode", "streaming_replication"},
		{"num_init_children", "64"},
		{"max_pool", "2"},
		{"enable_pool_hba", "on"},
		{"pool_passwd", "pool_passwd"},
		{"load_balance_mode", "on"},
		// By role, not by node number: after a switchover reads go to the new standby.
		{"database_redirect_preference_list", migrations.Database + ":standby"},
		// Empty, pgpool asks the catalog whether a function is volatile.
		{"read_only_function_list", ""},
		{"write_function_list", ""},
		{"sr_check_user", "pgpool"},
		{"sr_check_password", "pgpool"},
		{"sr_check_database", migrations.Database},
		{"sr_check_period", "1"},
		{"health_check_user", "pgpool"},
		{"health_check_password", "pgpool"},
		{"health_check_database", migrations.Database},
		{"health_check_period", "1"},
		{"health_check_timeout", "3"},
		{"failover_command", ""},
		{"auto_failback", "on"},
		{"auto_failback_interval", "1"},
	}
}

func (g *Pgpool) backends() []setting {
	var list []setting
	for i, node := range g.nodes {
		n := strconv.Itoa(i)
		list = append(list, setting{"backend_hostname" + n, "127.0.0.1"},
			setting{"backend_port" + n, strconv.Itoa(node.port)},
			setting{"backend_weight" + n, "1"},
			setting{"backend_flag" + n, "ALLOW_TO_FAILOVER"})
	}
	// auto_failback looks for this name in pg_stat_replication.
	return append(list, setting{"backend_application_name1", StandbyName})
}

func (g *Pgpool) configure(settings []setting) error {
	var conf, passwords strings.Builder
	for _, s := range settings {
		fmt.Fprintf(&conf, "%s = '%s'\n", s.name, strings.ReplaceAll(s.value, "'", `\'`))
	}
	// SCRAM on both sides needs the clear password, because pgpool can't log in to a backend with a hash.
	for _, r := range migrations.Roles {
		fmt.Fprintf(&passwords, "%[1]s:TEXT%[1]s\n", r.Name)
	}
	for name, text := range map[string]string{
		"pgpool.conf":   conf.String(),
		"pool_passwd":   passwords.String(),
		"pool_hba.conf": "host all all 127.0.0.1/32 scram-sha-256\n",
		"pcp.conf":      "",
	} {
		if err := writeConfig(filepath.Join(g.proc.dir, name), text, g.proc.owner); err != nil {
			return err
		}
	}
	return nil
}

// URL is the connection string of a role of migrations.Roles to the database pyramid. The superuser
// does not get in.
func (g *Pgpool) URL(role string) string {
	return fmt.Sprintf("postgres://%[1]s:%[1]s@%[2]s/%[3]s?sslmode=disable", role, g.Addr(), migrations.Database)
}

// Addr is the TCP address, host:port.
func (g *Pgpool) Addr() string { return fmt.Sprintf("127.0.0.1:%d", g.port) }

// Start starts pgpool again, after Stop or Kill, and waits until it knows the primary and shows every running
// node as up.
func (g *Pgpool) Start(t testing.TB) {
	t.Helper()
	g.proc.must(t, g.proc.start())
	g.proc.must(t, g.proc.await(g.ready))
}

// ready reads SHOW pool_nodes by column names, which differ between versions in number and order.
func (g *Pgpool) ready() error {
	return withConn(g.URL("pgpool"), func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SHOW pool_nodes", pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		nodes, err := pgx.CollectRows(rows, pgx.RowToMap)
		if err != nil {
			return err
		}
		up := map[any]int{}
		for _, n := range nodes {
			if n["status"] == "up" {
				up[n["role"]]++
			}
		}
		running := 0
		for _, n := range g.nodes {
			if n.proc.running() {
				running++
			}
		}
		if up["primary"] != 1 || up["primary"]+up["standby"] < running {
			return fmt.Errorf("nodes %v", nodes)
		}
		return nil
	})
}

// Stop shuts pgpool down and cuts its clients off.
func (g *Pgpool) Stop(t testing.TB) {
	t.Helper()
	g.proc.must(t, g.proc.end(syscall.SIGINT))
}

// Kill ends pgpool and its children by kill -9.
func (g *Pgpool) Kill(t testing.TB) {
	t.Helper()
	g.proc.must(t, g.proc.killTree())
}

// Pause stops pgpool and its children by SIGSTOP: connections stay open and nothing answers.
func (g *Pgpool) Pause(t testing.TB) {
	t.Helper()
	_, err := g.proc.signalTree(syscall.SIGSTOP)
	g.proc.must(t, err)
}

// Resume ends a Pause.
func (g *Pgpool) Resume(t testing.TB) {
	t.Helper()
	_, err := g.proc.signalTree(syscall.SIGCONT)
	g.proc.must(t, err)
}

// PID is the process id of pgpool-II's first process.
func (p *Pgpool) PID() int {
	pid, _ := p.proc.state()
	return pid
}
