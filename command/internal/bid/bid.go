package bid

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
)

// MaxKey is the longest idempotency key, in characters.
const MaxKey = 255

// Bid is what a user asks for. Prices are in KRW, sizes in millimetres.
type Bid struct {
	RaffleID int64
	UserID   int64
	Size     int16
	Price    int32
	Quantity int32
	// Key is the idempotency key, scoped to user and raffle. Empty: none.
	Key string
}

// Placed is a bid that was accepted. CreatedAt has a resolution of microseconds.
type Placed struct {
	Bid
	ID        int64
	CreatedAt time.Time
}

// Result is what became of one bid: it was placed, or Err says why not.
type Result struct {
	Placed Placed
	// Replayed: an earlier request with the same key and the same values placed it.
	Replayed bool
	// LSN is a position at or past the commit's end, T-X/X.
	LSN string
	// Err is one of this package's errors.
	Err error
}

// Errors of a bid or a cancellation.
var (
	ErrUnknownRaffle = errors.New("unknown raffle")
	ErrNotOpen       = errors.New("raffle not open")
	ErrUnknownUser   = errors.New("unknown user")
	ErrKeyReused     = errors.New("idempotency key used for other values")
	ErrUnknownBid    = errors.New("unknown bid")
	ErrNotYours      = errors.New("bid of another user")
	// ErrTooManySizes: the raffle has bids of MaxSizes other sizes.
	ErrTooManySizes = errors.New("too many sizes in the raffle")
	// ErrLocked: somebody changes the raffle's state; nothing happened, and trying again may help.
	ErrLocked = errors.New("raffle locked")
	// ErrUnavailable: nothing happened, and trying again may help.
	ErrUnavailable = primary.ErrUnavailable
	// ErrUnknownOutcome: the commit was sent, but its answer was lost. It may have been carried out.
	ErrUnknownOutcome = primary.ErrUnknownOutcome
	// ErrBusy: too many requests wait already; nothing was tried.
	ErrBusy = errors.New("too many bids at once")
)

// InvalidError lists what is wrong with a bid's values.
type InvalidError []Flaw

// Flaw is a field and the rule that it breaks.
type Flaw struct{ Field, Rule string }

// Error makes InvalidError an error.
func (e InvalidError) Error() string {
	texts := make([]string, 0, len(e))
	for _, f := range e {
		texts = append(texts, f.Field+" "+f.Rule)
	}
	return "invalid bid: " + strings.Join(texts, ", ")
}

// Check returns nil or an InvalidError. It checks only for values that the types allow and the rules forbid.
func (b Bid) Check() error {
	var flaws InvalidError
	if b.Size <= 0 {
		flaws = append(flaws, Flaw{"size", "must be a whole number from 1 to 32767"})
	}
	if b.Price <= 0 {
		flaws = append(flaws, Flaw{"price", "must be a whole number from 1 to 2147483647"})
	}
	if b.Quantity <= 0 {
		flaws = append(flaws, Flaw{"quantity", "must be a whole number from 1 to 2147483647"})
	}
	if flaws == nil {
		return nil
	}
	return flaws
}

// CheckKey returns an error that says what is wrong with an idempotency key, or nil.
func CheckKey(key string) error {
	if len(key) == 0 || len(key) > MaxKey {
		return fmt.Errorf("must have 1 to %d characters", MaxKey)
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return errors.New("must be printable ASCII")
		}
	}
	return nil
}

// Hash must be equal for two requests with the same key. It is computed from the values, so neither white space nor
// the order of the fields matters.
func (b Bid) Hash() [sha256.Size]byte {
	buf := make([]byte, 0, 19)
	buf = append(buf, 1) // version of this encoding
	buf = binary.BigEndian.AppendUint64(buf, uint64(b.RaffleID))
	buf = binary.BigEndian.AppendUint16(buf, uint16(b.Size))
	buf = binary.BigEndian.AppendUint32(buf, uint32(b.Price))
	buf = binary.BigEndian.AppendUint32(buf, uint32(b.Quantity))
	return sha256.Sum256(buf)
}
