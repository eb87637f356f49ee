package wal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pglogrepl"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

// slotPatience is how long the server waits, when it makes a temporary slot, for each transaction that is open at that
// time. It is set as the server's lock_timeout, because the wait is for a lock of each transaction. If only the client
// gave up, the walsender would go on waiting.
const slotPatience = 10 * time.Second

// ErrSlot is returned when no temporary slot can be made. The message says what an operator can do.
var ErrSlot = errors.New("no replication slot for a comparison")

// Snapshot is the state of the database at the consistent point of a slot. Its name can be imported until the
// connection that made the slot is used again or ends.
type Snapshot struct {
	Name string
	LSN  LSN
	Slot string
}

// Temporary opens a replication connection to the primary and makes a slot that ends with the connection. The stream
// from the snapshot's position on has everything that was committed after the snapshot.
func Temporary(ctx context.Context, url string) (*Stream, Snapshot, error) {
	servers, err := Servers(url)
	if err != nil {
		return nil, Snapshot{}, slotError(err)
	}
	node, err := Find(ctx, servers, 0)
	if err != nil {
		return nil, Snapshot{}, slotError(err)
	}
	return node.Temporary(ctx)
}

// Temporary is the function Temporary for a known server.
func (s Server) Temporary(ctx context.Context) (*Stream, Snapshot, error) {
	stream, err := s.Stream(ctx, map[string]string{
		"application_name": "replicator-verify", "lock_timeout": fmt.Sprint(slotPatience.Milliseconds()),
	})
	if err != nil {
		return nil, Snapshot{}, slotError(err)
	}
	snapshot := Snapshot{Slot: "verify_" + uuid.NewString()[:8]}
	ctx, cancel := context.WithTimeout(ctx, 2*slotPatience)
	defer cancel()
	r, err := pglogrepl.CreateReplicationSlot(ctx, stream.conn, snapshot.Slot, "pgoutput", pglogrepl.CreateReplicationSlotOptions{
		Temporary: true, Mode: pglogrepl.LogicalReplication, SnapshotAction: "EXPORT_SNAPSHOT"})
	if err == nil {
		snapshot.Name = r.SnapshotName
		snapshot.LSN, err = lsn.Parse(r.ConsistentPoint)
	}
	if err != nil {
		stream.Close()
		return nil, Snapshot{}, slotError(err)
	}
	return stream, snapshot, nil
}

func slotError(err error) error {
	hint := ""
	switch {
	case pg.HasCode(err, pg.ConfigurationLimitExceeded):
		hint = "; pg_replication_slots shows who has them: drop one that is not needed or raise max_replication_slots"
	case pg.HasCode(err, pg.TooManyConnections):
		hint = "; pg_stat_replication shows who has them: end one or raise max_wal_senders"
	case pg.HasCode(err, pg.LockNotAvailable):
		hint = fmt.Sprintf("; a transaction that writes has been open for more than %s: "+
			"find it in pg_stat_activity, and try again when it has ended", slotPatience)
	case pg.HasCode(err, pg.ObjectNotInPrerequisiteState):
		hint = "; PRIMARY_URL must lead to a primary with wal_level=logical"
	}
	return fmt.Errorf("%w: %w%s", ErrSlot, err, hint)
}
