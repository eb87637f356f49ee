package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

var (
	// errNoRoom says that Redis has no memory for the copy. Nothing was copied.
	errNoRoom = errors.New("redis has no room for a rebuild")
	// errNoRoomForTwo says that the copy fits only if the served epoch is removed first.
	errNoRoomForTwo = errors.New("redis has no room for a rebuild beside the served epoch")
)

// rowBytes is the least memory that a bid takes in Redis, in both orders of small sets (measured: 73 bytes). So a
// rebuild is refused only if it can't fit.
const rowBytes = 70

// memoryUse is the memory that a copy needs and that Redis has, in bytes.
type memoryUse struct {
	need, used, limit int64 // limit 0: none
}

// memoryFor estimates what a copy needs, by the size of the last copy of this process if that is known, and reads what
// Redis has.
func (r *Replicator) memoryFor(ctx context.Context, q wal.Querier) (m memoryUse, err error) {
	ctx, cancel := context.WithTimeout(ctx, wal.AnswerTime)
	defer cancel()
	info, err := settledInfo(ctx, r)
	if err != nil {
		return m, err
	}
	rows, err := tables.Expected(ctx, q)
	if err != nil {
		return m, err
	}
	m.used, m.limit = info.Number("used_memory"), info.Number("maxmemory")
	m.need = int64(float64(rows[tables.Bids]) * max(r.bytesPerRow, rowBytes))
	return m, nil
}

// settledInfo reads INFO once Redis has freed what was unlinked, or after a second.
func settledInfo(ctx context.Context, r *Replicator) (redisinfo.Info, error) {
	for range 20 {
		info, err := redisinfo.Read(ctx, r.redis)
		if err != nil || info.Number("lazyfree_pending_objects") == 0 {
			return info, err
		}
		if err := sleep.For(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return redisinfo.Read(ctx, r.redis)
}

// check says whether a copy fits beside the served epoch. If it fits only without the served epoch, check returns
// errNoRoomForTwo, on which the served epoch is given up. If an operator asked for the rebuild it returns errNoRoom
// instead, because the served epoch can go on.
func (m memoryUse) check(served bool, reason status.Reason) error {
	if m.limit == 0 || m.used+m.need <= m.limit {
		return nil
	}
	err := errNoRoom
	if served && reason != status.Requested && m.need <= m.limit {
		err = errNoRoomForTwo
	}
	return fmt.Errorf("%w: it needs about %d MB, and of %d MB (maxmemory) %d MB are in use", err, m.need>>20, m.limit>>20, m.used>>20)
}

// measured notes how much memory a copy took for each row, unless the copy is too small to tell.
func (r *Replicator) measured(before memoryUse, after redisinfo.Info, rows int64) {
	const enough = 100_000
	if took := after.Number("used_memory") - before.used; rows >= enough && took > 0 {
		r.bytesPerRow = float64(took) / float64(rows)
	}
}
