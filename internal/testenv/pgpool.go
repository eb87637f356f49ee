package testenv

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/sql/migrations"
)

// Pgpool is a private pgpool-II before a primary and a standby. Reads of the database pyramid go to the standby
// while it is up. It promotes nothing. It only follows the roles that the nodes have.
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
	if err := g.configure(FreePort(t), append(slices.Clone(followAlone), apply(opts).settings...)); err != nil {
		t.Fatal(err)
	}
	g.proc.runUntilEnd(t)
	g.Start(t)
	return g
}

// followAlone makes pgpool-II follow the roles by itself, because in tests the nodes have no agents.
var followAlone = []setting{
	{Name: "auto_failback", Value: "on"}, {Name: "auto_failback_interval", Value: "1"}, {Name: "search_primary_node_timeout", Value: "10"},
}

func (g *Pgpool) configure(pcpPort int, settings []setting) error {
	p := deploy.Pgpool{
		Address: deploy.Address{Port: g.port}, PCPPort: pcpPort, Run: g.proc.dir, Passwords: map[string]string{}, Settings: settings,
	}
	for _, node := range g.nodes {
		// In tests every standby has this name.
		p.Nodes = append(p.Nodes, deploy.Peer{Name: StandbyName, Address: deploy.Address{Port: node.port}})
	}
	for _, r := range migrations.Roles {
		p.Passwords[r.Name] = r.Name
	}
	files, err := p.Files()
	if err != nil {
		return err
	}
	// Tests come as any role.
	hba := files["pool_hba.conf"]
	hba.Content = "host all all 127.0.0.1/32 scram-sha-256\n"
	files["pool_hba.conf"] = hba
	return writeFiles(files, g.proc.dir, g.proc.owner)
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
