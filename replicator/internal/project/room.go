package project

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

var (
	// errNoRoom is returned before anything is copied: Redis has no room for another copy.
	errNoRoom = errors.New("redis has no room for a rebuild")
	// errNoRoomForTwo says that a rebuild needs the room of the epoch that is served.
	errNoRoomForTwo = errors.New("redis has no room for a rebuild beside the served epoch")
)

// rowBytes is the least that a bid takes in Redis, in both orders of small sets (measured: 73 bytes). A rebuild
// is refused only if it can't fit.
const rowBytes = 70

// room is how much memory a copy needs and Redis has, in bytes.
type room struct {
	need, used, limit int64 // limit 0: Redis has none
}

// room estimates both. The size of the last copy that this process made counts, if that was large enough to tell.
func (r *Replicator) room(ctx context.Context, q wal.Querier) (m room, err error) {
	ctx, cancel := context.WithTimeout(ctx, wal.AnswerTime)
	defer cancel()
	info, err := settledInfo(ctx, r)
	if err != nil {
		return m, err
	}
	var rows int64
	err = q.QueryRow(ctx, "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'public.bids'::regclass").Scan(&rows)
	if err != nil {
		return m, fmt.Errorf("expected rows: %w", err)
	}
	m.used, m.limit = infoNumber(info, "used_memory"), infoNumber(info, "maxmemory")
	m.need = int64(float64(rows) * max(r.bytesPerRow, rowBytes))
	return m, nil
}

// settledInfo reads INFO once Redis has freed what was unlinked, or after a while.
func settledInfo(ctx context.Context, r *Replicator) (map[string]string, error) {
	for range 20 {
		info, err := redisInfo(ctx, r.redis)
		if err != nil || infoNumber(info, "lazyfree_pending_objects") == 0 {
			return info, err
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return redisInfo(ctx, r.redis)
}

func infoNumber(info map[string]string, name string) int64 {
	n, _ := strconv.ParseInt(info[name], 10, 64) // 0 for what a server does not tell
	return n
}

// check says whether a copy fits beside what is there. An epoch that can't go on is given up for a copy that
// fits alone; one that goes on, since the rebuild was only asked for, is not.
func (m room) check(served bool, reason Reason) error {
	if m.limit == 0 || m.used+m.need <= m.limit {
		return nil
	}
	err := errNoRoom
	if served && reason != Requested && m.need <= m.limit {
		err = errNoRoomForTwo
	}
	return fmt.Errorf("%w: it needs about %d MB, and of %d MB (maxmemory) %d MB are in use", err, m.need>>20, m.limit>>20, m.used>>20)
}

// measured notes what a copy took.
func (r *Replicator) measured(before room, after map[string]string, rows int64) {
	const enough = 100_000
	if took := infoNumber(after, "used_memory") - before.used; rows >= enough && took > 0 {
		r.bytesPerRow = float64(took) / float64(rows)
	}
}
