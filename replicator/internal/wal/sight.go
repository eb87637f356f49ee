package wal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/sql/replicationdb"
)

// Sight is what a server shows to the observer, for people.
type Sight struct {
	Server  string // host:port
	Up      bool   // it has answered within staleAfter
	Primary bool
	Closed  bool         // it takes no writes
	At      lsn.Position // flushed by a primary, replayed by a standby; the timeline is 0 if it is not known
	// Transactions counts the transactions of a primary that have written, and Changes the rows that were changed in this
	// database. Both only rise as long as the server runs.
	Transactions, Changes int64
	Measured              time.Time // when that was asked
}

// Sights returns what each server has shown last. A server that never answered has only its name.
func (o *Observer) Sights(now time.Time) []Sight {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]Sight, 0, len(o.servers))
	for _, s := range o.servers {
		seen := o.seen[s]
		seen.sight.Server, seen.sight.Up = s.String(), now.Sub(seen.at) < staleAfter
		all = append(all, seen.sight)
	}
	return all
}

// see asks a server that was just identified. A server that refuses a statement, for example because it lacks the tables,
// shows less.
func see(ctx context.Context, conn *pgx.Conn, node Node) (Sight, error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	s := Sight{Primary: node.primary(), Closed: node.Closed, At: lsn.Position{Timeline: node.Timeline}, Measured: time.Now()}
	var at int64
	err := conn.QueryRow(ctx, readSight).Scan(&at, &s.Transactions, &s.Changes)
	s.At.LSN = LSN(at)
	if err == nil && !s.Primary {
		var timeline int64
		timeline, err = replicationdb.New(conn).LastTimeline(ctx)
		s.At.Timeline = uint32(timeline)
	}
	if err != nil && pg.Code(err) == "" && !errors.Is(err, pgx.ErrNoRows) {
		return s, fmt.Errorf("position: %w", err)
	}
	return s, nil
}
