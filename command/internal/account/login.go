// Package account holds what users do with their accounts: registering, logging in and out, trading refresh tokens, and
// changing the password.
package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/idempotency"
	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

// Errors of a login, a registration or a new password.
var (
	// ErrCredentials: the login is unknown or the password is wrong; nobody is told which.
	ErrCredentials = errors.New("login or password wrong")
	// ErrBusy: too many requests wait for a password check.
	ErrBusy = errors.New("too many logins at once")
	// ErrTaken: another user has the login.
	ErrTaken = errors.New("login taken")
	// ErrPassword: the old password is wrong.
	ErrPassword = errors.New("old password wrong")
	// ErrUnknownUser: there is no such user, although a token says so.
	ErrUnknownUser = errors.New("unknown user")
	// ErrUnavailable: the database doesn't answer, or there is no key to sign with.
	ErrUnavailable = primary.ErrUnavailable
)

const (
	maxLogin = 64 // characters, as the table users has it
	// accountConns is how many requests with passwords are in the database at once.
	accountConns = 2
)

// Token is what a login or a refresh token yields. The times are from now. Refresh is empty if the database still has the
// schema of the last release.
type Token struct {
	Access         string
	Expires        time.Duration
	Refresh        string
	RefreshExpires time.Duration
}

// Logins checks passwords, hands out tokens and registers users.
type Logins struct {
	conns         *primary.Conns
	signer        *auth.Signer
	families      *families
	checks        *checks
	registering   chan struct{} // at most a quarter of the checks' places
	nobody        string
	outcomes      *prometheus.CounterVec
	registrations *prometheus.CounterVec
}

// NewLogins registers its metrics. refresh is how long after a login its refresh tokens are good. Password checks take at
// most so many cores, and at most waiting further checks wait. A check takes about 26 ms of CPU and 19 MiB.
func NewLogins(server *primary.Server, signer *auth.Signer, refresh time.Duration, cores float64, waiting int, reg prometheus.Registerer) *Logins {
	l := &Logins{conns: server.Conns("accounts", accountConns, primary.RequestTime).Private(), signer: signer,
		families: newFamilies(server, refresh, reg), checks: newChecks(cores, waiting, reg),
		registering: make(chan struct{}, max(1, (int(cores)+waiting)/4)),
		nobody:      auth.HashPassword("nobody has this password"),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "command_logins_total", Help: "Logins by outcome.",
		}, []string{"outcome"}),
		registrations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "command_registrations_total", Help: "Registrations by outcome.",
		}, []string{"outcome"})}
	for _, counter := range []*prometheus.CounterVec{l.outcomes, l.registrations, l.families.outcomes} {
		for _, outcome := range []string{"accepted", "refused", "reused", "busy", "unavailable", "failed"} {
			counter.WithLabelValues(outcome)
		}
	}
	reg.MustRegister(l.outcomes, l.registrations)
	return l
}

// Login returns tokens for a user who knows their password. Errors: ErrCredentials, ErrBusy, ErrUnavailable.
func (l *Logins) Login(ctx context.Context, login, password string) (Token, error) {
	token, err := l.login(ctx, login, password)
	l.outcomes.WithLabelValues(label(err)).Inc()
	if err != nil {
		return Token{}, fmt.Errorf("login: %w", err)
	}
	return token, nil
}

func (l *Logins) login(ctx context.Context, login, password string) (Token, error) {
	// The place is taken before the database is asked, so that a storm of logins does not queue there.
	leave, err := l.checks.enter()
	if err != nil {
		return Token{}, err
	}
	defer leave()
	var user *writedb.User
	login, password, possible := asStored(login, password)
	if possible {
		if user, err = l.find(ctx, login); err != nil {
			return Token{}, err
		}
	}
	// An unknown login must take as long as a wrong password.
	known, hash := user != nil, l.nobody
	if known {
		hash = user.PasswordHash
	}
	right, err := l.checks.check(ctx, hash, password)
	if err != nil {
		return Token{}, err
	}
	if !known || !right {
		return Token{}, ErrCredentials
	}
	return l.issue(ctx, *user)
}

// issue returns the tokens of a user whose password was checked.
func (l *Logins) issue(ctx context.Context, user writedb.User) (Token, error) {
	access, err := l.sign(user.ID, user.Role)
	if err != nil {
		return Token{}, err
	}
	token := Token{Access: access, Expires: l.signer.TTL()}
	refresh, err := l.families.begin(ctx, user)
	switch {
	case pg.HasCode(err, pg.UndefinedTable): // the migrations have not run yet
		return token, nil
	case err != nil:
		return Token{}, err
	}
	token.Refresh, token.RefreshExpires = refresh.String(), l.families.life
	return token, nil
}

func (l *Logins) sign(user int64, role string) (string, error) {
	access, err := l.signer.Sign(user, role)
	if errors.Is(err, auth.ErrNoKey) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return access, err
}

// find returns nil for a login that no user has.
func (l *Logins) find(ctx context.Context, login string) (*writedb.User, error) {
	return l.read(ctx, l.conns, func(ctx context.Context, q *writedb.Queries) (writedb.User, error) {
		return q.UserByLogin(ctx, login)
	})
}

// read returns nil if there is no such user.
func (l *Logins) read(ctx context.Context, conns *primary.Conns, one func(context.Context, *writedb.Queries) (writedb.User, error)) (*writedb.User, error) {
	// A cancelled query costs a database connection, so the query goes on if the client goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
	defer cancel()
	var user writedb.User
	err := conns.Read(ctx, func(conn *pgx.Conn) (err error) {
		user, err = one(ctx, writedb.New(conn))
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return &user, nil
}

func label(err error) string {
	switch {
	case err == nil:
		return "accepted"
	case errors.Is(err, ErrCredentials), errors.Is(err, ErrTaken), errors.Is(err, ErrPassword), errors.Is(err, ErrRefreshToken),
		errors.Is(err, idempotency.ErrReused):
		return "refused"
	case errors.Is(err, ErrReused):
		return "reused"
	case errors.Is(err, ErrBusy):
		return "busy"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	}
	return "failed"
}
