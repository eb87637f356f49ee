package preflight

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// spare is how many slots, and connections of walsenders, are needed beside those of the stream: one for a rebuild beside
// it, and one for a reload or a comparison.
const spare = 2

// slots looks whether there are free slots, and what became of those of the pipelines.
func (r *Report) slots(ctx context.Context, conn *pgx.Conn, p wal.Pipeline) {
	var slots, usedSlots, senders, usedSenders int
	if r.failed("slots", conn.QueryRow(ctx, countSlots).Scan(&slots, &usedSlots, &senders, &usedSenders)) {
		return
	}
	all, err := wal.Slots(ctx, conn)
	if r.failed("slots", err) {
		return
	}
	// A replicator that begins drops those of its pipeline that it can't use, before it makes a new one.
	has, reads := 0, 0
	for _, s := range all {
		if p.SlotEpoch(s.Name) != 0 {
			has++
			if s.ActivePID != 0 {
				reads++
			}
		}
	}
	r.free("max_replication_slots", slots, slots-usedSlots+has)
	r.free("max_wal_senders", senders, senders-usedSenders+reads)
	for _, s := range all {
		r.slot(s, p)
	}
}

// free looks whether so many of a kind are left for a pipeline that has none.
func (r *Report) free(what string, all, left int) {
	level := OK
	switch {
	case left < 1:
		level = Fail
	case left < 1+spare:
		level = Warn
	}
	r.add(level, "raise it in postgresql.conf and restart the server, or drop slots that nobody reads", what,
		"%d, of which this pipeline can have %d; it needs one, one for a rebuild and one for a reload or a comparison", all, left)
}

// slot looks at a slot of a pipeline.
func (r *Report) slot(s wal.Slot, p wal.Pipeline) {
	of, ours := wal.PipelineOf(s.Name)
	what := "slot " + s.Name
	switch {
	case !ours:
	case s.Lost && of == p:
		r.add(Warn, "nothing: everything is copied anew when the replicator starts", what, "the server has given it up")
	case s.ActivePID != 0:
		r.ok(what, "is read, and holds %s of WAL back", megabytes(s.RetainedBytes))
	case of == p:
		r.add(Warn, "start the replicator; if it will not run again, \"replicator drop\"", what, "nobody reads it, and it holds %s of WAL back", megabytes(s.RetainedBytes))
	default:
		r.add(Warn, "start a replicator of "+of.String()+", or remove it: PIPELINE="+string(of)+" replicator drop", what,
			"nobody reads it, and it holds %s of WAL back", megabytes(s.RetainedBytes))
	}
}
