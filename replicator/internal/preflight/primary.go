package preflight

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// oldest and newest are the major versions of PostgreSQL that can work, and up to which something was tested.
const oldest, newest = 14, 18

// primary looks at the primary.
func (r *Report) primary(ctx context.Context, s Servers) facts {
	found := facts{bids: -1}
	node, err := wal.Find(ctx, s.Primary, 0)
	if err != nil {
		r.add(Fail, "start the primary, or set PRIMARY_URL, role and password right", "server", "%v", err)
		return found
	}
	level := OK
	if node.Version < oldest {
		level = Fail
	} else if node.Version > newest {
		level = Warn
	}
	r.add(level, "use PostgreSQL 14 to 18", "server", "%s, PostgreSQL %d, system %d, timeline %d", node, node.Version, node.System, node.Timeline)
	found.system = node.System
	conn, err := node.Open(ctx, map[string]string{"application_name": "replicator-check"})
	if err != nil {
		r.add(Fail, "look at the server's log", "connection", "%v", err)
		return found
	}
	defer wal.Close(conn)
	r.settings(ctx, conn)
	seesAll := r.rights(ctx, conn)
	r.publication(ctx, conn)
	r.slots(ctx, conn, s.Pipeline)
	r.stream(ctx, node)
	r.transactions(ctx, conn, seesAll)
	r.primaryClock(ctx, conn)
	found.bids = bids(ctx, conn)
	return found
}

// failed adds a line if the primary could not be asked. It says whether it did.
func (r *Report) failed(what string, err error) bool {
	if err != nil {
		r.add(Fail, "look at the server's log", what, "%v", err)
	}
	return err != nil
}

// settings looks at the settings of the server.
func (r *Report) settings(ctx context.Context, conn *pgx.Conn) {
	var level string
	var keep, timeout int64 // in MB and milliseconds
	if r.failed("settings", conn.QueryRow(ctx, readSettings).Scan(&level, &keep, &timeout)) {
		return
	}
	if level == "logical" {
		r.ok("wal_level", "logical")
	} else {
		r.add(Fail, "set wal_level = logical in postgresql.conf and restart the server", "wal_level", "%s", level)
	}
	const name, least = "max_slot_wal_keep_size", 1024
	switch {
	case keep < 0:
		r.add(Warn, "set a limit that the disk has room for, such as 8GB: a stopped or paused replicator makes the server keep WAL", name, "no limit")
	case keep < least:
		r.add(Warn, "raise it: a rebuild fails if more WAL than that is written while it copies", name, "%d MB", keep)
	default:
		r.ok(name, "%d MB", keep)
	}
	if timeout == 0 {
		r.add(Warn, "set it, such as 60s: a standby that hangs is never noticed; the replicator's own connection has 5 s", "wal_sender_timeout", "off")
	} else {
		r.ok("wal_sender_timeout", "%s, and 5 s on the replicator's own connection", time.Duration(timeout)*time.Millisecond)
	}
}

// publication looks whether everything is published.
func (r *Report) publication(ctx context.Context, conn *pgx.Conn) {
	var exists bool
	if r.failed("publication", conn.QueryRow(ctx, hasPublication, wal.Publication).Scan(&exists)) {
		return
	}
	if !exists {
		r.add(Fail, "run \"sql migrate up\" as the role migrator", "publication", "there is no publication %s in this database", wal.Publication)
		return
	}
	published, err := wal.ReadPublished(ctx, conn)
	if r.failed("publication", err) {
		return
	}
	if err := published.Check(); err != nil {
		r.add(Fail, "ALTER PUBLICATION and ALTER TABLE ... REPLICA IDENTITY FULL; after that everything is copied anew", "publication", "%v", err)
		return
	}
	r.ok("publication", "%s has every change of bids, raffles and products", wal.Publication)
}

// stream looks whether a replication connection leads to the same server.
func (r *Report) stream(ctx context.Context, node wal.Node) {
	const what, do = "replication connection", "allow it in pg_hba.conf, raise max_wal_senders, or look at the server's log"
	stream, err := node.Stream(ctx, map[string]string{"application_name": "replicator-check"})
	if err != nil {
		r.add(Fail, do, what, "%v", err)
		return
	}
	defer stream.Close()
	system, err := stream.Identify(ctx)
	switch {
	case err != nil:
		r.add(Fail, do, what, "%v", err)
	case system.ID != node.System || system.Timeline != node.Timeline:
		r.add(Fail, "name each server by an address of its own in PRIMARY_URL", what, "it leads to system %d on timeline %d", system.ID, system.Timeline)
	default:
		r.ok(what, "up to %s", system.Flushed)
	}
}

// transactions looks for what a new slot would wait for.
func (r *Report) transactions(ctx context.Context, conn *pgx.Conn, seesAll bool) {
	const what, because = "transactions", "; a rebuild, a reload and verify need a slot, which waits for it"
	var n int
	var pid int32
	var gid string
	var seconds int64
	if r.failed(what, conn.QueryRow(ctx, longTransactions).Scan(&n, &pid, &gid, &seconds)) {
		return
	}
	do, which := fmt.Sprintf("SELECT pg_terminate_backend(%d)", pid), fmt.Sprintf("pid %d", pid)
	if pid == 0 {
		do, which = fmt.Sprintf("ROLLBACK PREPARED '%s'", gid), fmt.Sprintf("prepared as %s", gid)
	}
	switch {
	case n > 0:
		r.add(Warn, "end it, if nobody needs it: "+do+because, what, "%d that write are open for more than 10 s, the oldest for %s (%s)",
			n, time.Duration(seconds)*time.Second, which)
	case !seesAll:
		r.add(Warn, "see statistics", what, "not known, because those of other roles can't be seen")
	default:
		r.ok(what, "none that writes is open for more than 10 s")
	}
}

// bids estimates the number of bids by the size of their table, as the planner does; -1 if it is not known.
func bids(ctx context.Context, conn *pgx.Conn) int64 {
	const rowBytes = 100 // until rows are counted
	var rows, counted, blocks, size int64
	if err := conn.QueryRow(ctx, bidsSize).Scan(&rows, &counted, &blocks, &size); err != nil {
		return -1
	}
	if rows < 0 || counted == 0 {
		return size / rowBytes
	}
	return int64(float64(rows) / float64(counted) * float64(blocks))
}

func (r *Report) primaryClock(ctx context.Context, conn *pgx.Conn) {
	var theirs int64
	before := time.Now()
	if r.failed("clock", conn.QueryRow(ctx, readClock).Scan(&theirs)) {
		return
	}
	now := time.Now()
	r.clocks(time.UnixMicro(theirs).Sub(now.Add(-now.Sub(before) / 2)))
}
