package primary

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/sql/replicationdb"
)

// ErrOlderTimeline says that the only primary is an old one that was started again: an earlier answer had a later
// timeline. The history does not have what this server has accepted since the promotion.
var ErrOlderTimeline = errors.New("it is on an older timeline than the last primary; after a deliberate step back, start query again")

// adopt makes a node the primary that is watched. If there is no error, the connection belongs to the watch.
func (w *Watch) adopt(ctx context.Context, n node) error {
	s := *w.State()
	if s.SystemID == n.System && n.Timeline < s.History.Present() {
		return ErrOlderTimeline
	}
	ctx, cancel := context.WithTimeout(ctx, 2*answerTime) // enough to read an hour of heartbeats
	defer cancel()
	line, err := readBranches(ctx, n.conn, replicationdb.TimelineBranches, n.Timeline)
	if err != nil {
		return err
	}
	s.asked = time.Now()
	at, beats, err := readProgress(ctx, n.conn, -1)
	if err != nil {
		return err
	}
	if !s.of(n) || at < s.Flushed || !w.has(beats) {
		if s.Generation > 0 { // the first primary is no change
			s.turned = time.Now()
		}
		s.Generation++
		s.mark, s.proven, s.denied = newest(beats), Commit{}, Commit{}
		w.log.InfoContext(ctx, "primary", "host", n.host.String(), "system_id", n.System, "timeline", n.Timeline, "generation", s.Generation)
	}
	s.Connected, s.SystemID, s.History, s.Flushed = true, n.System, lsn.NewHistory(n.Timeline, line), at
	s.Host, s.Port, s.started = n.host.config.Host, n.host.config.Port, n.Started
	w.prove(ctx, n.conn, &s)
	s.link = linkOf(n.conn.PgConn().Conn())
	w.beats.Adopt(time.Now(), beats)
	w.beats.Up(time.Now())
	w.conn = n.conn
	w.publish(&s)
	return nil
}

// of says whether the state is of the same run of a server as the node, so that nothing can have been restored.
func (s *State) of(n node) bool {
	return s.SystemID == n.System && s.History.Present() == n.Timeline && s.Host == n.host.config.Host &&
		s.Port == n.host.config.Port && s.started == n.Started
}

// has says whether the newest heartbeat that was seen before is among the primary's, or older than all of them. A
// machine that was restored together with its memory has the same run of the server but another history.
func (w *Watch) has(beats []heartbeat.Beat) bool {
	last := w.beats.Newest()
	return last == heartbeat.Beat{} || len(beats) > 0 && last.Number < beats[0].Number || slices.Contains(beats, last)
}

func newest(beats []heartbeat.Beat) int64 {
	if len(beats) == 0 {
		return 0
	}
	return beats[len(beats)-1].Number
}

// ask asks the primary how far it has got.
func (w *Watch) ask(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	s := *w.State()
	s.asked = time.Now()
	at, beats, err := readProgress(ctx, conn, w.beats.Newest().Number)
	if err != nil {
		return err
	}
	s.Flushed = at
	w.prove(ctx, conn, &s)
	w.beats.Extend(time.Now(), beats)
	w.publish(&s)
	return nil
}

// prove asks the primary for the wanted commit, if there is one.
func (w *Watch) prove(ctx context.Context, conn *pgx.Conn, s *State) {
	c := w.wanted.Load()
	if c == nil || *c == s.proven || *c == s.denied {
		return
	}
	has, err := replicationdb.New(conn).HasCommit(ctx, replicationdb.HasCommitParams{Begins: c.Begins.String(), At: time.UnixMicro(c.At)})
	switch {
	case err == nil && has == true:
		s.proven = *c
	case err == nil, pg.Code(err) != "":
		s.denied = *c
	}
	if err != nil {
		w.log.WarnContext(ctx, "commit not looked for", "error", err)
	}
}

// readProgress reads the flush position, which no standby has, and the heartbeats after a number, in one round trip.
func readProgress(ctx context.Context, conn *pgx.Conn, after int64) (at lsn.LSN, beats []heartbeat.Beat, err error) {
	var batch pgx.Batch
	batch.Queue(replicationdb.FlushPosition).QueryRow(func(row pgx.Row) error {
		var text string
		if err := row.Scan(&text); err != nil {
			return err
		}
		at, err = lsn.Parse(text)
		return err
	})
	batch.Queue(replicationdb.HeartbeatsAfter, after).Query(func(rows pgx.Rows) error {
		beats, err = pgx.CollectRows(rows, pgx.RowToStructByPos[heartbeat.Beat])
		return err
	})
	if err := conn.SendBatch(ctx, &batch).Close(); err != nil {
		return 0, nil, fmt.Errorf("progress of the primary: %w", err)
	}
	return at, beats, nil
}

func readBranches(ctx context.Context, conn *pgx.Conn, sql string, args ...any) ([]lsn.Branch, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("timelines: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b lsn.Branch, err error) {
		var begins string
		if err := row.Scan(&b.Timeline, &b.Parent, &begins); err != nil {
			return b, err
		}
		b.Begins, err = lsn.Parse(begins)
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("timelines: %w", err)
	}
	return list, nil
}

// learnFromStandby takes the history that a standby has replayed, if no primary was ever seen.
func (w *Watch) learnFromStandby(ctx context.Context, nodes []node) {
	others := askAll(ctx, w.others)
	for _, n := range others {
		defer n.close()
	}
	for _, n := range append(nodes, others...) {
		if n.err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		s := *w.State()
		newest, err := replicationdb.New(n.conn).LastTimeline(ctx)
		if present := uint32(newest); err == nil && present > s.History.Present() {
			var line []lsn.Branch
			line, err = readBranches(ctx, n.conn, replicationdb.Timelines)
			s.SystemID, s.History = n.System, lsn.NewHistory(present, line)
		}
		if err != nil {
			w.log.DebugContext(ctx, "history of a standby not read", "host", n.host.String(), "error", err)
			continue
		}
		w.publish(&s)
	}
}
