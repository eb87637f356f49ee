package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// Server is the local PostgreSQL, used as its superuser over the socket.
type Server struct {
	config *Config
	conn   connection
}

const localTimeout = 2 * time.Second

func newServer(c *Config) *Server {
	url := fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres sslmode=disable application_name=node synchronous_commit=local", c.Socket, c.Port)
	return &Server{c, connection{url: url, timeout: localTimeout}}
}

// Local is how the local server is.
type Local struct {
	Primary  bool
	Timeline int64
	Closed   bool    // sessions can't write by default
	Waits    bool    // commits wait for the other node
	Settled  bool    // the checkpointer rests, so it has read the setting that Waits shows
	Flushed  lsn.LSN // how far a primary's WAL is flushed
	// The other node, if it follows this one: how far it has flushed. Reply changes whenever it has answered.
	Streaming, Sync bool
	Theirs          lsn.LSN
	Reply           string
	// Follows says whether a standby receives WAL; Replayed changes whenever it has applied some.
	Follows  bool
	Replayed string
}

// The timeline of a primary is in the names of its WAL files; its control file changes with the next checkpoint only.
// Whether a commit waits is a flag that the checkpointer sets when it reads the configuration.
const lookLocal = `SELECT NOT r, CASE WHEN r THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()))
		ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint END,
	current_setting('default_transaction_read_only') = 'on', current_setting('synchronous_standby_names') <> '',
	EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'checkpointer' AND wait_event IN ('CheckpointerMain', 'CheckpointWriteDelay')),
	(CASE WHEN r THEN '0/0' ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint,
	coalesce(s.state = 'streaming', false), coalesce(s.sync_state IN ('sync', 'quorum'), false), coalesce(s.flush_lsn - '0/0', 0)::bigint,
	coalesce(s.reply_time::text || s.pid, ''), EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'), coalesce(pg_last_wal_replay_lsn()::text, '')
FROM pg_is_in_recovery() r LEFT JOIN LATERAL (SELECT * FROM pg_stat_replication
	WHERE application_name = $1 ORDER BY backend_start DESC LIMIT 1) s ON true`

// Look asks the server how it is.
func (s *Server) Look(ctx context.Context) (l Local, err error) {
	var flushed, theirs int64
	err = s.conn.use(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, lookLocal, s.config.Peer).Scan(&l.Primary, &l.Timeline, &l.Closed, &l.Waits, &l.Settled, &flushed,
			&l.Streaming, &l.Sync, &theirs, &l.Reply, &l.Follows, &l.Replayed)
	})
	l.Flushed, l.Theirs = lsn.LSN(flushed), lsn.LSN(theirs)
	return l, err
}

// Role is the part of the configuration that follows the node's role.
type Role struct {
	Open  bool // sessions may write
	Waits bool // commits wait for the other node
}

// WriteRole writes role.conf, which postgresql.conf includes. A node that starts has Role{false, true}: it acknowledges nothing
// before its agent has asked the witness.
func (c *Config) WriteRole(r Role) error {
	names := ""
	if r.Waits {
		names = c.Peer
	}
	text := fmt.Sprintf("# Written by the node's agent.\ndefault_transaction_read_only = %s\nsynchronous_standby_names = '%s'\n",
		map[bool]string{true: "off", false: "on"}[r.Open], names)
	// Several programs write it, so each has a file of its own until it is whole.
	fresh, err := os.CreateTemp(c.Conf, "role.conf.")
	if err != nil {
		return err
	}
	_, err = fresh.WriteString(text)
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return errors.Join(err, os.Remove(fresh.Name()))
	}
	return os.Rename(fresh.Name(), c.file("role.conf"))
}

// SetRole writes the role and makes the running server read it. The server does so within some milliseconds; Look shows it.
func (s *Server) SetRole(ctx context.Context, r Role) error {
	if err := s.config.WriteRole(r); err != nil {
		return err
	}
	return s.exec(ctx, "SELECT pg_reload_conf()")
}

func (s *Server) exec(ctx context.Context, sql string, args ...any) error {
	return s.conn.use(ctx, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, sql, args...)
		return err
	})
}

// in runs statements in another database, on a connection of their own.
func (s *Server) in(ctx context.Context, database string, timeout time.Duration, statements ...string) error {
	other := connection{url: strings.Replace(s.conn.url, "dbname=postgres", "dbname="+database, 1), timeout: timeout}
	defer other.close()
	return other.use(ctx, func(ctx context.Context, c *pgx.Conn) error {
		for _, sql := range statements {
			if _, err := c.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%.60s: %w", sql, err)
			}
		}
		return nil
	})
}

// PID is the process id of the local postmaster, 0 if none runs.
func (c *Config) PID() int {
	b, err := os.ReadFile(c.Data + "/postmaster.pid")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0
	}
	// After a reboot the pid may be another program's. PostgreSQL works in its data folder.
	place, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return 0
	}
	if data, err := filepath.EvalSymlinks(c.Data); err != nil || place != data {
		return 0
	}
	return pid
}

// Stop shuts the local server down in fast mode, then in immediate mode, then by kill -9. The supervisor starts it again
// through the guard.
func (s *Server) Stop(ctx context.Context) error {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, 5 * time.Second}, {syscall.SIGQUIT, 3 * time.Second}, {syscall.SIGKILL, 3 * time.Second}} {
		pid := s.config.PID()
		if pid == 0 {
			return nil
		}
		if err := syscall.Kill(pid, step.signal); err != nil {
			return fmt.Errorf("stop postgres: %w", err)
		}
		gone := func() bool { return s.config.PID() != pid }
		if wait(ctx, step.wait, gone) || ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("postgres (pid %d) does not end, not even by kill -9: its disk may hang", s.config.PID())
}

// wait polls until the condition holds, and says whether it does in time.
func wait(ctx context.Context, within time.Duration, holds func() bool) bool {
	end := time.Now().Add(within)
	for {
		if holds() {
			return true
		}
		if time.Now().After(end) || !pause(ctx, 20*time.Millisecond) {
			return false
		}
	}
}

// pause waits and says whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
