package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

type pgxConn = pgx.Conn

// registerEvery is the pause between attempts to register a node. A role must last for replaceAfter before repmgrd is
// restarted for it: the old repmgrd may still be carrying out the promotion.
const (
	registerEvery = 2 * time.Second
	replaceAfter  = 3 * time.Second
)

// registrar registers the node with repmgr and keeps repmgrd running. repmgrd watches the leader, asks the other
// nodes whether they see it, and calls `node promote`.
type registrar struct {
	config *Config
	log    *slog.Logger

	role   string // for which repmgrd runs
	wanted string
	since  time.Time
	tried  time.Time
	logged string // the last failure, which is logged once
	daemon *exec.Cmd
	ended  chan struct{}
}

// keep does what is due for a database node.
func (r *registrar) keep(ctx context.Context, server *Server, s Sight) {
	switch {
	case !s.Fresh || s.Record.Leader == "":
	case s.Local.Primary && s.Record.Leader == s.Me && !s.Local.Closed:
		r.follow("leads", func() error {
			if err := server.prepareRepmgr(ctx); err != nil {
				return err
			}
			return server.in(ctx, "repmgr", localTimeout, r.config.becamePrimary())
		})
	case !s.Local.Primary && s.Record.Leader == s.Peer && s.Local.Follows:
		r.follow("follows "+s.Record.Leader, func() error { return nil })
	}
}

// follow runs repmgrd for a role, after the role was registered.
func (r *registrar) follow(role string, register func() error) {
	now := time.Now()
	if role != r.wanted {
		r.wanted, r.since = role, now
	}
	running := r.daemon != nil && !closed(r.ended)
	if running && r.role == role || running && now.Sub(r.since) < replaceAfter || now.Sub(r.tried) < registerEvery {
		return
	}
	r.tried = now
	r.stop()
	err := register()
	if err == nil {
		err = r.start()
	}
	if err != nil {
		if r.logged != err.Error() {
			r.logged = err.Error()
			r.log.Warn("repmgrd does not run yet", "role", role, "error", r.logged)
		}
		return
	}
	r.role, r.logged = role, ""
	r.log.Info("repmgrd runs", "role", role)
}

func (r *registrar) start() error {
	cmd := exec.Command(r.config.bin("repmgrd"), "-f", r.config.file("repmgr.conf"), "--daemonize=false", "--no-pid-file")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	r.daemon, r.ended = cmd, ended
	go func() {
		_ = cmd.Wait() // repmgrd has logged why it ended; it is started again
		close(ended)
	}()
	return nil
}

func (r *registrar) stop() {
	if r.daemon == nil {
		return
	}
	_ = r.daemon.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-r.ended:
	case <-time.After(time.Second):
		_ = r.daemon.Process.Kill()
		<-r.ended
	}
	r.daemon = nil
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// The database that repmgr works in. Its role is no superuser: it may do what repmgrd and pg_rewind need.
const (
	repmgrRole = `DO $$ BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'repmgr') THEN CREATE ROLE repmgr; END IF; END $$;
ALTER ROLE repmgr LOGIN REPLICATION PASSWORD %s;
GRANT pg_monitor, pg_checkpoint, pg_signal_backend TO repmgr`
	repmgrRights = `CREATE EXTENSION IF NOT EXISTS repmgr;
GRANT ALL ON SCHEMA repmgr TO repmgr;
GRANT ALL ON ALL TABLES IN SCHEMA repmgr TO repmgr;
GRANT ALL ON ALL SEQUENCES IN SCHEMA repmgr TO repmgr;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA repmgr TO repmgr;
GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO repmgr;
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean),
	pg_read_binary_file(text), pg_read_binary_file(text, bigint, bigint, boolean) TO repmgr`
)

// prepareRepmgr makes role, database and extension where they are missing.
func (s *Server) prepareRepmgr(ctx context.Context) error {
	password, err := s.config.password("repmgr")
	if err != nil {
		return err
	}
	var there bool
	err = s.conn.use(ctx, func(ctx context.Context, c *pgx.Conn) error {
		var quoted string
		if err := c.QueryRow(ctx, "SELECT quote_literal($1::text), EXISTS (SELECT FROM pg_database WHERE datname = 'repmgr')", password).
			Scan(&quoted, &there); err != nil {
			return err
		}
		_, err := c.Exec(ctx, fmt.Sprintf(repmgrRole, quoted))
		return err
	})
	if err == nil && !there {
		err = s.in(ctx, "postgres", promoteTime, "CREATE DATABASE repmgr OWNER repmgr")
	}
	if err != nil {
		return err
	}
	return s.in(ctx, "repmgr", promoteTime, repmgrRights)
}

// password reads a role's password from the password file (host:port:database:user:password).
func (c *Config) password(role string) (string, error) {
	b, err := os.ReadFile(c.PassFile)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 5); len(f) == 5 && f[3] == role {
			return f[4], nil
		}
	}
	return "", fmt.Errorf("%s has no password of %s", c.PassFile, role)
}

// becamePrimary is repmgr's own record of the nodes, with this node as the primary.
func (c *Config) becamePrimary() string {
	peer := 3 - c.ID
	upsert := func(id int, name, kind string, upstream string, priority int) string {
		return fmt.Sprintf(`INSERT INTO repmgr.nodes (node_id, upstream_node_id, active, node_name, type, location, priority, conninfo, repluser, slot_name, config_file)
			VALUES (%[1]d, %[4]s, true, '%[2]s', '%[3]s', 'default', %[5]d, 'service=%[2]s', 'repmgr', NULL, '%[6]s')
			ON CONFLICT (node_id) DO UPDATE SET type = excluded.type, upstream_node_id = excluded.upstream_node_id, active = true, conninfo = excluded.conninfo;`,
			id, name, kind, upstream, priority, c.file("repmgr.conf"))
	}
	me := fmt.Sprint(c.ID)
	const term = "INSERT INTO repmgr.voting_term (term) SELECT 1 WHERE NOT EXISTS (SELECT FROM repmgr.voting_term);"
	return term + upsert(c.ID, c.Node, "primary", "NULL", 100) + upsert(peer, c.Peer, "standby", me, 100) + upsert(3, "witness", "witness", me, 0)
}
