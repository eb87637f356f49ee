// Package account holds what users do with their accounts: registering and logging in.
package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

// Errors of a login or a registration.
var (
	// ErrCredentials: the login is unknown or the password is wrong; nobody is told which.
	ErrCredentials = errors.New("login or password wrong")
	// ErrBusy: too many requests wait for a password check.
	ErrBusy = errors.New("too many logins at once")
	// ErrTaken: another user has the login.
	ErrTaken = errors.New("login taken")
	// ErrUnavailable: the database doesn't answer, or there is no key to sign with.
	ErrUnavailable = primary.ErrUnavailable
)

const (
	maxLogin = 64 // characters, as the table users has it
	// accountConns is how many logins and registrations are in the database at once.
	accountConns = 2
)

// Token is what a login yields.
type Token struct {
	Access  string
	Expires time.Duration // from now
}

// Logins checks passwords, hands out tokens and registers users.
type Logins struct {
	conns         *primary.Conns
	signer        *auth.Signer
	checks        *checks
	registering   chan struct{} // at most a quarter of the checks' places
	nobody        string
	outcomes      *prometheus.CounterVec
	registrations *prometheus.CounterVec
}

// NewLogins registers its metrics. Password checks take at most so many cores, and at most waiting further checks
// wait. A check takes about 26 ms of CPU and 19 MiB.
func NewLogins(server *primary.Server, signer *auth.Signer, cores float64, waiting int, reg prometheus.Registerer) *Logins {
	l := &Logins{conns: server.Conns("accounts", accountConns, primary.RequestTime), signer: signer, checks: newChecks(cores, waiting, reg),
		registering: make(chan struct{}, max(1, (int(cores)+waiting)/4)),
		nobody:      auth.HashPassword("nobody has this password"),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "logins_total", Help: "Logins by outcome.",
		}, []string{"outcome"}),
		registrations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "registrations_total", Help: "Registrations by outcome.",
		}, []string{"outcome"})}
	reg.MustRegister(l.outcomes, l.registrations)
	return l
}

// Login returns a token for a user who knows their password.
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
	access, err := l.signer.Sign(user.ID, user.Role)
	if errors.Is(err, auth.ErrNoKey) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return Token{Access: access, Expires: l.signer.TTL()}, err
}

// find returns nil for a login that no user has.
func (l *Logins) find(ctx context.Context, login string) (*writedb.User, error) {
	// A cancelled query costs a database connection, so the query goes on if the client goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
	defer cancel()
	var user writedb.User
	err := l.conns.Read(ctx, func(conn *pgx.Conn) (err error) {
		user, err = writedb.New(conn).UserByLogin(ctx, login)
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
	case errors.Is(err, ErrCredentials), errors.Is(err, ErrTaken):
		return "refused"
	case errors.Is(err, ErrBusy):
		return "busy"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	}
	return "failed"
}
