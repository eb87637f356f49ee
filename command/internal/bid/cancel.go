package bid

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
)

// Canceller carries cancellations out, as Store does.
type Canceller interface {
	Cancel(ctx context.Context, raffleID, id, userID int64) (lsn string, err error)
}

const (
	// cancelsAtMost is how many cancellations are under way at once, and raffleCancels how many of one raffle.
	cancelsAtMost = 64
	raffleCancels = 16
)

// Cancels carries out each cancellation by itself, a bounded number at once. A cancellation goes on if its caller
// goes away, because giving up halfway would leave the outcome unknown and cost a database connection.
type Cancels struct {
	to Canceller

	mu      sync.Mutex
	all     int
	raffles map[int64]int
}

// NewCancels makes Cancels of a store.
func NewCancels(to Canceller) *Cancels { return &Cancels{to: to, raffles: make(map[int64]int)} }

// Cancel cancels one bid. The error is ErrBusy (at once), ErrLocked (after lockWait) or that of Store.Cancel.
func (c *Cancels) Cancel(ctx context.Context, raffleID, id, userID int64) (lsn string, err error) {
	if !c.enter(raffleID) {
		return "", ErrBusy
	}
	defer c.leave(raffleID)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
	defer cancel()
	for began := time.Now(); ; {
		lsn, err = c.to.Cancel(ctx, raffleID, id, userID)
		if !errors.Is(err, ErrLocked) || time.Since(began) >= lockWait {
			return lsn, err
		}
		select {
		case <-time.After(lockRetry):
		case <-ctx.Done():
			return "", err
		}
	}
}

func (c *Cancels) enter(raffleID int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= cancelsAtMost || c.raffles[raffleID] >= raffleCancels {
		return false
	}
	c.all++
	c.raffles[raffleID]++
	return true
}

func (c *Cancels) leave(raffleID int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.raffles[raffleID]--; c.raffles[raffleID] == 0 {
		delete(c.raffles, raffleID)
	}
}
