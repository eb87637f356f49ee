package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Start is what a guard decides by before a database node starts.
type Start struct {
	Me, Peer  string
	HasData   bool
	WasLeader bool // the data is that of a primary: it has no standby.signal
	Resync    bool // the agent asks for the leader's data
	Broken    bool // pg_rewind was broken off: the data are useless
	Timeline  int64
	// Generation is that of the data. After a restore the data of the other node are of an earlier one.
	Generation int64
	Other      Peer
	Record     Record // zero if the witness does not answer
}

// Way is how a node starts.
type Way string

// Ways to start.
const (
	Wait     Way = "wait"
	AsIs     Way = "as it is"
	Rewind   Way = "as a standby, after its data was made the leader's past"
	CloneNew Way = "as a standby, with a copy of the leader's data"
)

// Decide says how the node starts, and why. A node that led starts only if nobody else leads now.
func (s Start) Decide() (Way, string) {
	leader := s.Record.Leader // "" if the witness does not answer or has lost its record
	peerLeads := s.Other.Primary && leader == s.Peer
	switch {
	case s.Broken && peerLeads:
		return CloneNew, "a rewind was broken off"
	case s.Broken:
		return Wait, "a rewind was broken off, so the data must be copied, and " + s.Peer + " does not lead"
	case s.HasData && leader != "" && s.Generation != s.Record.Generation && peerLeads:
		return CloneNew, "the system was restored from a backup, and these data are of the lost history"
	case s.HasData && leader != "" && s.Generation != s.Record.Generation:
		return Wait, fmt.Sprintf("the system was restored from a backup (generation %d), and these data are of generation %d: wait for %s, or `node restore` again",
			s.Record.Generation, s.Generation, leader)
	case s.Resync && peerLeads && s.Timeline >= s.Other.Timeline:
		return CloneNew, "the leader no longer has the WAL that it needs" // a rewind changes nothing on the same timeline
	case !s.HasData && peerLeads:
		return CloneNew, "there is no data yet"
	case !s.HasData:
		return Wait, "there is no data here, and " + s.Peer + " does not lead"
	case (s.WasLeader || s.Resync) && peerLeads:
		return Rewind, s.Peer + " leads"
	case !s.WasLeader:
		return AsIs, "it was a standby"
	case leader == s.Me && s.Other.Primary && s.Other.Open:
		return Wait, s.Peer + " takes writes although the witness says that " + s.Me + " leads: stop " + s.Peer
	case leader == s.Me:
		return AsIs, "the witness says that it leads"
	case leader == s.Peer:
		return Wait, "the witness says that " + s.Peer + " leads, which does not take writes yet"
	case s.Other.Answers && !s.Other.Primary && s.Other.Timeline <= s.Timeline:
		return AsIs, s.Peer + " is a standby" // it starts closed, and only the witness's word opens it
	}
	return Wait, "neither the witness nor " + s.Peer + " says who leads: start one of them, or `node lead` on the node that has all bids"
}

// The guard asks again after guardPause, and after guardRest if something failed, because a copy is dear.
const (
	guardPause = 500 * time.Millisecond
	guardRest  = 5 * time.Second
)

// guard prepares the data and becomes the server. It returns only with an error.
func guard(ctx context.Context, c *Config, log *slog.Logger) error {
	if pid := c.PID(); pid != 0 {
		return fmt.Errorf("it runs already (pid %d)", pid)
	}
	if c.isWitness() {
		if err := initialise(ctx, c); err != nil {
			return err
		}
		return c.become()
	}
	w := newWitness()
	defer w.close()
	logged := ""
	for {
		s := look(ctx, c, w)
		way, why := s.Decide()
		if line := string(way) + ": " + why; line != logged {
			logged = line
			log.Info("start "+string(way), "why", why)
		}
		err := prepare(ctx, c, way, log)
		if err == nil && way != Wait {
			if err = c.WriteRole(Role{Waits: true}); err == nil {
				err = c.become()
			}
		}
		rest := guardPause
		if err != nil {
			log.Warn("not prepared", "error", err.Error())
			rest = guardRest
		}
		if !pause(ctx, rest) {
			return ctx.Err()
		}
	}
}

// look asks everybody.
func look(ctx context.Context, c *Config, w *Witness) Start {
	s := Start{Me: c.Node, Peer: c.Peer, HasData: exists(c.Data + "/PG_VERSION"), Resync: exists(c.file("resync")), Broken: exists(c.file("rewinding"))}
	s.WasLeader = s.HasData && !exists(c.Data+"/standby.signal")
	if s.HasData {
		s.Timeline, s.Generation = c.controlTimeline(ctx), generationOf(c.Data)
	}
	if r, err := w.Read(ctx); err == nil {
		s.Record = r
	}
	s.Other = askPeer(ctx, c)
	return s
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func prepare(ctx context.Context, c *Config, way Way, log *slog.Logger) error {
	switch way {
	case Rewind:
		err := c.rewind(ctx)
		if err == nil {
			return nil
		}
		log.Warn("pg_rewind failed, so the leader's data is copied; the old data stays in "+c.Data+".old", "error", err.Error())
		return c.clone(ctx)
	case CloneNew:
		return c.clone(ctx)
	}
	return nil
}

// rewind makes the data a past of the leader's and the node a standby. What only this node had is given up: it was never
// acknowledged, or an operator gave it up.
func (c *Config) rewind(ctx context.Context) error {
	if err := c.prepareLeader(ctx); err != nil {
		return err
	}
	if err := removeStale(c); err != nil {
		return err
	}
	c.killLeftovers()
	// pg_rewind ends a crash recovery first, for which the server must not wait for anybody.
	if err := c.WriteRole(Role{}); err != nil {
		return err
	}
	// Data that are half rewound look like a leader's.
	if err := os.WriteFile(c.file("rewinding"), nil, 0o600); err != nil {
		return err
	}
	err := run(ctx, c.bin("pg_rewind"), "--target-pgdata", c.Data,
		"--source-server", "service="+c.Peer, "--config-file", c.file("postgresql.conf"))
	if err != nil {
		return err
	}
	return c.becomeStandby(c.Data)
}

// prepareLeader makes the leader keep WAL for this node. The checkpoint writes the leader's timeline to its control
// file, from which pg_rewind reads it.
func (c *Config) prepareLeader(ctx context.Context) error {
	conn := connection{url: "service=" + c.Peer, timeout: promoteTime}
	defer conn.close()
	return conn.use(ctx, func(ctx context.Context, p *pgxConn) error {
		_, err := p.Exec(ctx, fmt.Sprintf(`SELECT pg_create_physical_replication_slot('%[1]s', true)
			WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '%[1]s')`, c.Node))
		if err == nil {
			_, err = p.Exec(ctx, "CHECKPOINT")
		}
		return err
	})
}

// clone copies the leader's data.
func (c *Config) clone(ctx context.Context) error {
	if err := c.prepareLeader(ctx); err != nil {
		return err
	}
	fresh, old := c.Data+".new", c.Data+".old"
	// Only one older copy is kept, and not while there must be room for a new one.
	if err := errors.Join(os.RemoveAll(fresh), os.RemoveAll(old)); err != nil {
		return err
	}
	err := run(ctx, c.bin("pg_basebackup"), "-D", fresh, "-d", "service="+c.Peer+" user=standby", "-X", "stream", "-c", "fast", "-S", c.Node)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(fresh, "standby.signal"), nil, 0o600); err != nil {
		return err
	}
	if err := os.Rename(c.Data, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, c.Data); err != nil {
		return err
	}
	return c.becomeStandby(c.Data)
}

func (c *Config) becomeStandby(data string) error {
	if err := os.WriteFile(filepath.Join(data, "standby.signal"), nil, 0o600); err != nil {
		return err
	}
	return c.remove("resync", "rewinding")
}

// remove removes files of the configuration that may be there.
func (c *Config) remove(names ...string) error {
	for _, name := range names {
		if err := os.Remove(c.file(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// initialise makes an empty cluster in an empty data folder. An attempt that was broken off may have left files.
func initialise(ctx context.Context, c *Config) error {
	if exists(c.Data + "/PG_VERSION") {
		return nil
	}
	fresh := c.Data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	err := run(ctx, c.bin("initdb"), "-D", fresh, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums",
		"--auth-local=peer", "--auth-host=scram-sha-256")
	if err != nil {
		return err
	}
	return os.Rename(fresh, c.Data)
}

// removeStale removes the pid file of a server that was killed; after a reboot its pid may be another program's.
func removeStale(c *Config) error {
	if pid := c.PID(); pid != 0 {
		return fmt.Errorf("postgres runs already (pid %d)", pid)
	}
	err := os.Remove(c.Data + "/postmaster.pid")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// become turns this process into the server.
func (c *Config) become() error {
	if err := removeStale(c); err != nil {
		return err
	}
	c.killLeftovers()
	postgres := c.bin("postgres")
	return syscall.Exec(postgres, []string{"postgres", "-c", "config_file=" + c.file("postgresql.conf")}, os.Environ())
}

// run runs one of PostgreSQL's programs; its output is the error's.
func run(ctx context.Context, path string, args ...string) error {
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		return failed(path, err, out)
	}
	return nil
}

func failed(path string, err error, out []byte) error {
	return fmt.Errorf("%s: %w\n%s", filepath.Base(path), err, out)
}
