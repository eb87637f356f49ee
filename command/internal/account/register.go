package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

// The length of a new password, in characters.
const (
	minPassword = 8
	maxPassword = 128
)

// User is a user without what proves it.
type User struct {
	ID    int64
	Login string
	Role  string // auth.RoleBidder or auth.RoleAdmin
}

// CheckLogin returns an error that says what is wrong with a new login, or nil.
func CheckLogin(login string) error {
	if n := utf8.RuneCountInString(login); n < 1 || n > maxLogin {
		return fmt.Errorf("must have 1 to %d characters", maxLogin)
	}
	if strings.ContainsFunc(login, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.TrimSpace(login) != login {
		return errors.New("must be printable characters, no space at either end")
	}
	return nil
}

// CheckPassword returns an error that says what is wrong with a new password, or nil.
func CheckPassword(password string) error {
	if n := utf8.RuneCountInString(password); n < minPassword || n > maxPassword {
		return fmt.Errorf("must have %d to %d characters", minPassword, maxPassword)
	}
	return nil
}

// Register makes a bidder of a login and a password that were checked. Hashing takes its turn with the
// password checks, and only so many registrations wait that logins find places. Errors: ErrTaken,
// ErrBusy, ErrUnavailable, primary.ErrUnknownOutcome.
func (l *Logins) Register(ctx context.Context, login, password string) (User, error) {
	u, err := l.register(ctx, login, password)
	l.registrations.WithLabelValues(label(err)).Inc()
	if err != nil {
		return User{}, fmt.Errorf("register: %w", err)
	}
	return u, nil
}

func (l *Logins) register(ctx context.Context, login, password string) (User, error) {
	select {
	case l.registering <- struct{}{}:
		defer func() { <-l.registering }()
	default:
		return User{}, ErrBusy
	}
	leave, err := l.checks.enter()
	if err != nil {
		return User{}, err
	}
	defer leave()
	other, err := l.find(ctx, login) // spares the hash
	if err != nil {
		return User{}, err
	}
	if other != nil {
		return User{}, ErrTaken
	}
	var hash string
	if err := l.checks.turn(ctx, func() { hash = auth.HashPassword(password) }); err != nil {
		return User{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), findLimit)
	defer cancel()
	var added []writedb.User
	_, err = l.conns.Transact(ctx, primary.Step{SQL: writedb.AddUser, Args: []any{login, hash},
		Read: primary.RowsInto(&added, pgx.RowToStructByPos[writedb.User])})
	switch {
	case err != nil:
		return User{}, err
	case len(added) == 0:
		return User{}, ErrTaken
	}
	return User{ID: added[0].ID, Login: added[0].Login, Role: added[0].Role}, nil
}
