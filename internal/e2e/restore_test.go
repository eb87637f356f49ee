package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// nodeAlone is a database node and the witness. The other node is not there.
type nodeAlone struct {
	dir, program string
	as           []string // what runs a command as the user of the servers
	node         deploy.Node
}

// P10: a restore leaves nothing behind of what came after its moment, gives no id again, and harms nothing if it fails.
func TestARestoreEndsAtItsMoment_P10(t *testing.T) {
	t.Parallel()
	c := startNodeAlone(t)
	server := c.start(t, "node1", "start")
	agent := c.start(t, "node1", "agent")
	c.leads(t)
	c.sql(t, "postgres", "CREATE DATABASE pyramid")
	c.sql(t, "pyramid", "CREATE TABLE bids (what text); CREATE SEQUENCE ids; INSERT INTO bids VALUES ('before ' || nextval('ids'))")
	c.must(t, "backup")
	// pgBackRest counts the time of a backup in seconds.
	ended := time.Now().Unix()
	testenv.Eventually(t, time.Minute, "a second has gone by", func() bool { return time.Now().Unix() > ended })
	c.sql(t, "pyramid", "INSERT INTO bids VALUES ('kept')")
	moment := c.sql(t, "postgres", "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.USZ')")
	c.sql(t, "pyramid", "INSERT INTO bids VALUES ('lost')")
	c.refuses(t, "runs here", "restore", "--to", moment)

	// What was written last is in no archive yet.
	server.Kill(t)
	agent.Stop(t)
	c.refuses(t, "recovery ended before", "restore", "--to", time.Now().UTC().Format(time.RFC3339Nano))
	if exists(c.node.Data+"/generation") || exists(c.node.Data+".before-restore") {
		t.Error("a restore that failed has changed the data")
	}
	c.must(t, "restore", "--to", moment)
	c.refuses(t, "before-restore", "restore", "--latest")

	c.start(t, "node1", "start")
	c.start(t, "node1", "agent")
	if s := c.leads(t); s.Timeline != 2 || s.Term != 2 {
		t.Errorf("after the restore: %+v", s)
	}
	if got := c.sql(t, "pyramid", "SELECT string_agg(what, ', ') || ', ' || (nextval('ids') > 10000000)::text FROM bids"); got != "before 1, kept, true" {
		t.Errorf("the restored system has %s", got)
	}
	if got := c.sql(t, "postgres", "SELECT current_setting('recovery_target_time') || current_setting('restore_command')"); got != "" {
		t.Errorf("settings of the recovery are left: %s", got)
	}
	if generation, err := os.ReadFile(c.node.Data + "/generation"); err != nil || string(generation) != "1\n" {
		t.Errorf("the data of the other node pass for good: %q, %v", generation, err)
	}
	c.must(t, "backup", "full")
}

// shown is what the test looks at of `node show`.
type shown struct {
	Leader         string
	Writable       bool
	Timeline, Term int64
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func startNodeAlone(t *testing.T) *nodeAlone {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "restore-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	c := &nodeAlone{dir: dir, program: filepath.Join(dir, "node")}
	var owner *deploy.Owner
	if os.Geteuid() == 0 {
		c.as = []string{"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=QUIT", "--"}
		owner = postgresUser(t)
	}
	c.copyProgram(t)
	ports := []int{testenv.FreePort(t), testenv.FreePort(t), testenv.FreePort(t)}
	c.node = c.describe(t, "node1", 1, ports)
	for _, n := range []deploy.Node{c.node, c.describe(t, "witness", 3, ports)} {
		for _, render := range []func() (deploy.Files, error){n.Server, n.Cluster} {
			files, err := render()
			if err == nil {
				err = files.Write(n.Conf, owner)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if owner != nil {
		if out, err := testenv.Run(exec.CommandContext(t.Context(), "chown", "-R", "postgres:", dir)); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	c.start(t, "witness", "start")
	c.start(t, "witness", "agent")
	testenv.EventuallyNoError(t, time.Minute, "the first node is made", func() error { _, err := c.run(t, "init"); return err })
	return c
}

// describe is a node in folders of its own.
func (c *nodeAlone) describe(t *testing.T, name string, id int, ports []int) deploy.Node {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	n := deploy.Node{
		Name: name, ID: id, Witness: name == "witness", Address: deploy.Address{Port: ports[id-1]}, Data: filepath.Join(c.dir, name, "data"),
		Conf: filepath.Join(c.dir, name), Sockets: c.dir, Bin: testenv.PostgresBin(t), Program: c.program, SharedBuffersMB: 32, CacheMB: 64,
		OSUsers: []string{"postgres", me.Username}, PCP: deploy.Address{Port: 1}, Passwords: deploy.NodePasswords{Repmgr: "a", Standby: "b", Pgpool: "c"},
		Settings: []deploy.Setting{{Name: "fsync", Value: "off"}},
	}
	if !n.Witness {
		n.Peer, n.Backups = "node2", filepath.Join(c.dir, "backup")
	}
	for i, name := range []string{"node1", "node2", "witness"} {
		n.Peers = append(n.Peers, deploy.Peer{Name: name, Address: deploy.Address{Port: ports[i]}})
	}
	return n
}

func postgresUser(t *testing.T) *deploy.Owner {
	t.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if uidErr != nil || gidErr != nil {
		t.Fatal(uidErr, gidErr)
	}
	return &deploy.Owner{UID: uid, GID: gid}
}

// copyProgram puts the program where the servers' user may run it.
func (c *nodeAlone) copyProgram(t *testing.T) {
	t.Helper()
	if err := os.Chmod(c.dir, 0o755); err != nil { //nolint:gosec // another user enters it
		t.Fatal(err)
	}
	binary, err := os.ReadFile(testenv.Binary(t, "./deploy/node"))
	if err == nil {
		err = os.WriteFile(c.program, binary, 0o755) //nolint:gosec // another user runs it
	}
	if err != nil {
		t.Fatal(err)
	}
}

// environment is that of a node's program.
func (c *nodeAlone) environment(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, name, "node.env"))
	if err != nil {
		t.Fatal(err)
	}
	e := []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin", "HOME=" + c.dir, "TZ=UTC", "LANG=C.UTF-8"}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && name != "PCP_HOST" {
			e = append(e, name+"="+strings.Trim(value, "'"))
		}
	}
	return e
}

func (c *nodeAlone) line(args ...string) []string {
	return append(append([]string(nil), c.as...), append([]string{c.program}, args...)...)
}

func (c *nodeAlone) start(t *testing.T, name, verb string) *testenv.Program {
	t.Helper()
	line := c.line(verb)
	p := testenv.StartProcess(t, testenv.Process{Path: testenv.Tool(t, line[0], "util-linux"), Args: line[1:], Env: c.environment(t, name), Death: syscall.SIGQUIT})
	// PostgreSQL waits for its clients after SIGTERM.
	t.Cleanup(func() { p.Interrupt(t) })
	return p
}

// run runs a verb of node1 to its end.
func (c *nodeAlone) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	line := c.line(args...)
	command := exec.CommandContext(t.Context(), line[0], line[1:]...)
	command.Env, command.Dir = c.environment(t, "node1"), c.dir
	out, err := testenv.Run(command)
	return string(out), err
}

func (c *nodeAlone) must(t *testing.T, args ...string) {
	t.Helper()
	if out, err := c.run(t, args...); err != nil {
		t.Fatalf("node %s: %v\n%s", args, err, out)
	}
}

func (c *nodeAlone) refuses(t *testing.T, why string, args ...string) {
	t.Helper()
	if out, err := c.run(t, args...); err == nil || !strings.Contains(out, why) {
		t.Fatalf("node %s: %v\n%s", args, err, out)
	}
}

// leads waits until node1 takes writes.
func (c *nodeAlone) leads(t *testing.T) (s shown) {
	t.Helper()
	testenv.EventuallyNoError(t, time.Minute, "node1 takes writes", func() error {
		out, err := c.run(t, "show")
		if err == nil {
			err = json.Unmarshal([]byte(out), &s)
		}
		if err == nil && (!s.Writable || s.Leader != "node1") {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
	return s
}

// sql runs statements as superuser and returns the last value as text.
func (c *nodeAlone) sql(t *testing.T, database, sql string) (value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=%s sslmode=disable", c.dir, c.node.Port, database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if last := results[len(results)-1]; len(last.Rows) > 0 {
		value = string(last.Rows[0][0])
	}
	return value
}
