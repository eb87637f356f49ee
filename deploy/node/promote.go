package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

const promoteTime = 60 * time.Second

// promote makes this node the leader: first in the witness's record, then in fact.
func promote(ctx context.Context, c *Config, log *slog.Logger, forced bool) error {
	w, s := newWitness(), newServer(c)
	defer w.close()
	if _, err := s.Look(ctx); err != nil {
		return fmt.Errorf("%s does not answer; start it first: %w", c.Node, err)
	}
	if forced && askPeer(ctx, c).Open {
		return fmt.Errorf("%s takes writes; stop it first, or use `node switchover`", c.Peer)
	}
	var record Record
	var err error
	// repmgrd calls once.
	if !wait(ctx, promoteTime/3, func() bool { record, err = w.Read(ctx); return err == nil }) {
		return fmt.Errorf("the witness does not answer, so nobody knows whether this node has every bid: %w", err)
	}
	if own := generationOf(c.Data); record.Generation != own {
		return fmt.Errorf("the data of %s are of a history that was given up (generation %d; the system's is %d): start it, and they are copied anew",
			c.Node, own, record.Generation)
	}
	if record.Leader != c.Node {
		if err := w.Lead(ctx, record, c.Node, forced); err != nil {
			return err
		}
	}
	return s.Promote(ctx, log)
}

// Promote ends the recovery of a node that the record names as leader. It may be repeated. The node takes writes only once
// there is a slot for the stream of changes: the replicator can then go on and need not copy everything. The checkpoint at
// the end is for pg_rewind, which reads the new timeline from the control file.
func (s *Server) Promote(ctx context.Context, log *slog.Logger) error {
	l, err := s.Look(ctx)
	if err != nil {
		return err
	}
	if !l.Primary {
		if err := s.promoteClosed(ctx, log); err != nil {
			return err
		}
	}
	return errors.Join(
		s.in(ctx, "pyramid", localTimeout, "SELECT heartbeat()"),
		s.in(ctx, "repmgr", localTimeout, s.config.becamePrimary()),
		s.in(ctx, "postgres", promoteTime, s.config.ensureSlot(), "CHECKPOINT"))
}

// slotTime is how long a promoted node may take for the slot before it takes writes without one.
const slotTime = time.Second

// promoteClosed promotes a node and opens it once its slot is there. repmgrd and the agent may call it at once; a second slot
// would lack what was committed after the first.
func (s *Server) promoteClosed(ctx context.Context, log *slog.Logger) error {
	lock, err := s.config.awaitLock(ctx, "promote.lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	if l, err := s.Look(ctx); err != nil || l.Primary {
		return err
	}
	opens, err := s.config.keepClosed(closedTime)
	if err != nil {
		return err
	}
	defer opens()
	if err := s.SetRole(ctx, Role{Waits: true}); err != nil {
		return err
	}
	err = s.in(ctx, "postgres", promoteTime, fmt.Sprintf("SELECT pg_promote(true, %d)", int(promoteTime.Seconds())))
	if l, lookErr := s.Look(ctx); lookErr != nil || !l.Primary {
		return errors.Join(errors.New("the promotion did not end"), err, lookErr)
	}
	if _, err := s.config.keepClosed(2 * slotTime); err != nil {
		return err
	}
	if err := s.in(ctx, "pyramid", slotTime, "SELECT wal.continue_stream()"); err != nil {
		log.Warn("there is no slot for the stream of changes, so the replicator will copy everything", "error", err)
	}
	if l, err := s.Look(ctx); err != nil || !l.Closed {
		return err // it took so long that the agent has opened it
	}
	return s.SetRole(ctx, Role{Open: true})
}

// keepClosed makes the agent leave this node closed for a time, or until opens is called. A program that dies meanwhile keeps
// the node closed for that time: the file is of the moment at which the agent may open the node.
func (c *Config) keepClosed(limit time.Duration) (opens func(), err error) {
	file, until := c.file("closed"), time.Now().Add(limit)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(file) }, os.Chtimes(file, until, until) // a file that is left counts for a while only
}

// awaitLock takes a lock that other programs may hold for the time of a promotion. Closing the file gives it back.
func (c *Config) awaitLock(ctx context.Context, name string) (lock *os.File, err error) {
	if lock, err = os.OpenFile(c.file(name), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	if !wait(ctx, promoteTime, func() bool { return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil }) {
		return nil, errors.Join(fmt.Errorf("another program holds %s", name), lock.Close())
	}
	return lock, nil
}

// ensureSlot keeps WAL for the other node from now on.
func (c *Config) ensureSlot() string {
	return fmt.Sprintf(`SELECT pg_create_physical_replication_slot('%[1]s', true)
		WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '%[1]s')`, c.Peer)
}

// switchover gives the lead to the standby without losing or refusing a bid for more than a moment: this node takes no more
// writes, the standby gets the last ones, the witness's record changes, and the agents of both nodes do the rest.
func switchover(ctx context.Context, c *Config) error {
	w, s := newWitness(), newServer(c)
	defer w.close()
	record, err := w.Read(ctx)
	if err != nil {
		return fmt.Errorf("the witness does not answer, and only it can change who leads: %w", err)
	}
	local, err := s.Look(ctx)
	if err != nil {
		return fmt.Errorf("%s does not answer, so the lead can't be handed over; if it stays away, its standby takes over by itself: %w", c.Node, err)
	}
	if !local.Primary || record.Leader != c.Node || !record.InSync {
		return fmt.Errorf("%s must lead and its standby be in sync (the leader is %s, in sync: %v)", c.Node, record.Leader, record.InSync)
	}
	// The checkpoints at the stop of this node and at the end of the promotion then have little to do.
	if err := s.in(ctx, "postgres", promoteTime, "CHECKPOINT"); err != nil {
		return err
	}
	opens, err := c.keepClosed(closedTime)
	if err != nil {
		return err
	}
	defer opens()
	began := time.Now()
	if err := s.handOver(ctx, w, record); err != nil {
		return err // the agent opens the node again if the record still says that it leads
	}
	if !wait(ctx, promoteTime, func() bool { return askPeer(ctx, c).Open }) {
		return fmt.Errorf("%s was told to lead, but does not take writes: see its agent's log", c.Peer)
	}
	fmt.Printf("%s leads; %d ms without writes\n", c.Peer, time.Since(began).Milliseconds())
	return nil
}

const quietTime = time.Second

// handOver closes this node, waits until the standby has the last commit, and changes the record.
func (s *Server) handOver(ctx context.Context, w *Witness, record Record) error {
	if err := s.SetRole(ctx, Role{Waits: true}); err != nil {
		return err
	}
	var local Local
	caughtUp := wait(ctx, quietTime, func() (done bool) {
		// From now on new transactions are read-only, and every commit waits for the standby.
		if !s.quiet(ctx) {
			return false
		}
		var err error
		local, err = s.Look(ctx)
		return err == nil && local.Theirs >= local.Flushed
	})
	if !caughtUp {
		return fmt.Errorf("the standby did not get everything within %v: it is at %s of %s, or a transaction that writes does not end (pg_stat_activity, backend_xid); try again",
			quietTime, local.Theirs, local.Flushed)
	}
	// A replicator that has the last commit goes on with the other node. Otherwise it copies everything anew.
	wait(ctx, quietTime/2, func() bool { return s.sent(ctx, local.Flushed) })
	return w.Lead(ctx, record, s.config.Peer, false)
}

// sent says whether everything up to a position was sent to each replicator that streams and is less than a megabyte behind.
func (s *Server) sent(ctx context.Context, upto lsn.LSN) (sent bool) {
	err := s.conn.use(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, `SELECT coalesce(bool_and($1::text::pg_lsn - r.sent_lsn NOT BETWEEN 1 AND 1048576), true) FROM pg_stat_replication r
			JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE s.slot_type = 'logical'`, upto.String()).Scan(&sent)
	})
	return err == nil && sent
}

// quiet says whether new transactions can't write and none that has written is open.
func (s *Server) quiet(ctx context.Context) (quiet bool) {
	err := s.conn.use(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, `SELECT current_setting('default_transaction_read_only') = 'on'
			AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_xid IS NOT NULL)`).Scan(&quiet)
	})
	return err == nil && quiet
}
