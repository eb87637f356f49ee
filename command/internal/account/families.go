package account

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

// Errors of a refresh token.
var (
	// ErrRefreshToken: the token is none of ours, or its family has expired or was ended.
	ErrRefreshToken = errors.New("refresh token not accepted")
	// ErrReused: the token was traded before. Its family is ended.
	ErrReused = errors.New("refresh token used again")
)

const (
	// refreshGrace is how long a token may be traded again. A failover takes up to 7 s, and a client's retries some more.
	refreshGrace = 30 * time.Second
	// familiesAtMost is how many families a user may have, so that nobody fills the table by logging in.
	familiesAtMost = 16
	// expiredAtOnce is how many expired families a login removes.
	expiredAtOnce = 4
	// familyConns is how many requests with refresh tokens are in the database at once, familyPlaces how many wait or run.
	familyConns  = 2
	familyPlaces = 64
)

// families are the families of refresh tokens. A login begins a family with one token. A token is traded once, for the
// next token of its family. A token that is traded again was copied, by a thief or from one, so it ends the family, and
// both have to log in.
//
// A token may be traded again for refreshGrace, as long as the next one was not used. The request then gets the same next
// token. Otherwise a lost answer, after a kill -9, in a failover or on the way, would cost a client its login, because the
// client can't tell that its token was traded; and so would two requests at the same time. This hides a theft for a moment
// only: owner and thief then have the same next token, and the first of them who trades that one makes the other's use a
// reuse.
type families struct {
	conns    *primary.Conns
	life     time.Duration
	places   chan struct{}
	outcomes *prometheus.CounterVec
}

func newFamilies(server *primary.Server, life time.Duration, reg prometheus.Registerer) *families {
	f := &families{conns: server.Conns("refresh", familyConns, primary.RequestTime).Private(), life: life.Truncate(time.Second),
		places: make(chan struct{}, familyPlaces),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "command_refreshes_total", Help: "Requests to trade a refresh token, by outcome.",
		}, []string{"outcome"})}
	reg.MustRegister(f.outcomes)
	return f
}

// enter takes a place, or returns ErrBusy at once. The request goes on if its client goes away, because a cancelled one
// would cost a database connection.
func (f *families) enter(ctx context.Context) (bounded context.Context, leave func(), err error) {
	select {
	case f.places <- struct{}{}:
	default:
		return nil, nil, ErrBusy
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
	return bounded, func() { cancel(); <-f.places }, nil
}

// begin begins a family of a user whose password was checked and returns its token. It does not wait for the standby,
// because a family that a failover loses costs its user one more login, and users also log in while bids have to wait.
func (f *families) begin(ctx context.Context, user writedb.User) (refreshToken, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
	defer cancel()
	token := newRefreshToken()
	password := sha256.Sum256([]byte(user.PasswordHash))
	_, err := f.conns.Transact(ctx,
		primary.Step{SQL: writedb.CommitLocally},
		primary.Step{SQL: writedb.AddFamily, Args: []any{token.family(), user.ID, token.hash(), password[:], int64(f.life.Seconds())}},
		primary.Step{SQL: writedb.DropOldFamilies, Args: []any{user.ID, int64(familiesAtMost)}},
		primary.Step{SQL: writedb.DropExpiredFamilies, Args: []any{int64(expiredAtOnce)}})
	if errors.Is(err, primary.ErrUnknownOutcome) { // a family whose token nobody has harms nobody
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return token, err
}

// traded is a token that was accepted: whose it is, and the next token of its family with the time that is left to it.
type traded struct {
	user    int64
	role    string
	next    refreshToken
	expires time.Duration
}

// trade replaces a token by the next one of its family.
func (f *families) trade(ctx context.Context, token refreshToken) (traded, error) {
	ctx, leave, err := f.enter(ctx)
	if err != nil {
		return traded{}, err
	}
	defer leave()
	nonce, grace := newNonce(), int64(refreshGrace.Seconds())
	var found []writedb.FindFamilyRow
	var ended int64
	_, err = f.conns.Transact(ctx,
		primary.Step{SQL: writedb.LockFamily, Args: []any{token.family()}},
		primary.Step{SQL: writedb.RotateFamily, Args: []any{token.next(nonce).hash(), token.hash(), nonce, token.family()}},
		primary.Step{SQL: writedb.FindFamily, Args: []any{token.hash(), grace, token.family()},
			Read: primary.RowsInto(&found, pgx.RowToStructByPos[writedb.FindFamilyRow])},
		primary.Step{SQL: writedb.EndReusedFamily, Args: []any{token.family(), token.hash(), grace}, Read: primary.Affected(&ended)},
		// What was found may have been committed by a request whose wait for the standby was cut off.
		primary.Step{SQL: writedb.ConfirmSeen})
	switch {
	case err != nil:
		return traded{}, err
	case ended > 0:
		return traded{}, ErrReused
	case len(found) == 0 || !found[0].Traded:
		return traded{}, ErrRefreshToken
	}
	// If an earlier request has traded the token, the nonce is that request's.
	return traded{user: found[0].UserID, role: found[0].Role, next: token.next(found[0].Nonce),
		expires: time.Duration(found[0].Seconds) * time.Second}, nil
}

// end ends the family of a token, if there still is one.
func (f *families) end(ctx context.Context, token refreshToken) error {
	ctx, leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	_, err = f.conns.Transact(ctx, primary.Step{SQL: writedb.EndFamily, Args: []any{token.family()}},
		primary.Step{SQL: writedb.ConfirmSeen})
	return err
}
