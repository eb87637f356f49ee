package test

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// oracle knows what the primary held at every position since some moment, on each branch of its history. It reads a
// slot of its own, as text, through test_decoding, so that it shares nothing with what it judges.
type oracle struct {
	branches []*branch // the last is the present branch
	slots    int
}

// branch is the line of commits that led to one state of the primary. A promotion or a restore makes a new branch,
// which shares the line up to the position where it forks.
type branch struct {
	timeline uint32
	base     *tables  // the tables at the position from
	from     lsn.LSN  // answers before this position can't be judged
	log      []commit // the commits after from
	// forks is the last position that the branch shares with the branch before.
	forks lsn.LSN
	begun time.Time // a read that ended before this time was not answered from this branch
	known time.Time // from this time on everybody can know that the branch before was left

	seen    <-chan error              // gets a value when query knows the primary of the branch
	noticed atomic.Pointer[time.Time] // when query knew it

	db     *pgx.Conn
	slot   string
	pulled lsn.LSN // the end of the last commit pulled, because after a crash the slot sends commits again
}

// newOracle makes an oracle on a primary to which nobody writes meanwhile.
func newOracle(ctx context.Context, db *pgx.Conn, slot string, timeline uint32) (*oracle, error) {
	b := &branch{timeline: timeline, db: db, slot: slot, begun: time.Now()}
	at, err := b.createSlot(ctx)
	if err != nil {
		return nil, err
	}
	b.from = at
	b.base, err = readTables(ctx, db)
	return &oracle{branches: []*branch{b}}, err
}

func (b *branch) createSlot(ctx context.Context) (at lsn.LSN, err error) {
	var n int64
	err = b.db.QueryRow(ctx, "SELECT lsn - '0/0' FROM pg_create_logical_replication_slot($1, 'test_decoding')", b.slot).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("the oracle's slot: %w", err)
	}
	return lsn.LSN(n), nil
}

func (o *oracle) present() *branch { return o.branches[len(o.branches)-1] }

// fork begins a branch at a position of the present branch, on a primary to which nobody writes meanwhile. Everything
// that belongs to both must have been pulled. fork also compares the oracle's tables with the primary's, because the
// oracle itself must not be wrong.
func (o *oracle) fork(ctx context.Context, db *pgx.Conn, timeline uint32, forks lsn.LSN, begun time.Time) error {
	before := o.present()
	o.slots++
	b := &branch{timeline: timeline, base: before.base, from: before.from, forks: forks, begun: begun, known: time.Now(), db: db,
		slot: fmt.Sprintf("%s_%d", before.slot, o.slots)}
	for _, c := range before.log {
		if c.end <= forks {
			b.log = append(b.log, c)
		}
	}
	o.branches = append(o.branches, b)
	if _, err := b.createSlot(ctx); err != nil {
		return err
	}
	now, err := readTables(ctx, db)
	if err != nil {
		return err
	}
	want := b.base.clone()
	for _, c := range b.log {
		c.apply(want)
	}
	if err := want.equal(now); err != nil {
		return fmt.Errorf("the oracle does not know what the new branch began with at %s: %w", forks, err)
	}
	return nil
}

// pull reads what was committed on a branch since the last pull.
func (b *branch) pull(ctx context.Context) error {
	rows, err := b.db.Query(ctx, "SELECT lsn - '0/0', data FROM pg_logical_slot_get_changes($1, NULL, NULL, 'include-xids', '0')", b.slot)
	if err != nil {
		return err
	}
	var at int64
	var data string
	var open commit
	_, err = pgx.ForEachRow(rows, []any{&at, &data}, func() error {
		switch data {
		case "BEGIN":
			open = commit{}
		case "COMMIT":
			open.end = lsn.LSN(at) // for a commit the slot gives the end
			if len(open.changes) > 0 && open.end > b.pulled {
				b.pulled = open.end
				b.log = append(b.log, open)
			}
		default:
			change, err := parseChange(data)
			if change.apply != nil {
				open.changes = append(open.changes, change)
			}
			return err
		}
		return nil
	})
	return err
}

// forget drops all branches but the present one. until becomes the oldest position that can be judged.
func (o *oracle) forget(until lsn.LSN) {
	b := o.present()
	o.branches = []*branch{b}
	b.base = b.base.clone()
	for len(b.log) > 0 && b.log[0].end <= until {
		b.log[0].apply(b.base)
		b.log = b.log[1:]
	}
	b.from = max(b.from, until)
}

// commit is what one transaction did. From the position end on it is seen.
type commit struct {
	end     lsn.LSN
	changes []change
}

func (c commit) apply(to *tables) {
	for _, change := range c.changes {
		change.apply(to)
	}
}

// has says whether a position may belong to the branch. A position with timeline 0 always may.
func (b *branch) has(p lsn.Position) bool {
	return p.Timeline == 0 || p.Timeline == b.timeline || p.Timeline < b.timeline && p.LSN <= b.forks
}

func byPosition(a, b *answer) int { return cmp.Compare(a.at.LSN, b.at.LSN) }
