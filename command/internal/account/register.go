package account

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/secure/precis"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

// The length of a new password, in characters.
const (
	minPassword = 8
	maxPassword = 128
)

// User is a user without the password hash.
type User struct {
	ID    int64
	Login string
	Role  string // auth.RoleBidder or auth.RoleAdmin
}

// NewLogin returns a new login in the form that is stored: lower case, composed characters of the usual width (RFC
// 8265, UsernameCaseMapped). The error says what is wrong with it.
func NewLogin(login string) (string, error) {
	stored, err := precis.UsernameCaseMapped.String(login)
	if err != nil {
		return "", errors.New("must be letters, digits and signs of one direction of writing, without spaces")
	}
	if n := utf8.RuneCountInString(stored); n < 1 || n > maxLogin {
		return "", fmt.Errorf("must have 1 to %d characters", maxLogin)
	}
	return stored, nil
}

// NewPassword returns a new password in the form that is hashed: composed characters, all spaces alike (RFC 8265,
// OpaqueString). The error says what is wrong with it.
func NewPassword(password string) (string, error) {
	n := utf8.RuneCountInString(password)
	stored, err := precis.OpaqueString.String(password)
	switch {
	case n < minPassword || n > maxPassword:
		return "", fmt.Errorf("must have %d to %d characters", minPassword, maxPassword)
	case err != nil || !utf8.ValidString(password):
		return "", errors.New("must be printable characters")
	}
	return stored, nil
}

// LoginKey is the same for all ways to type one login, so that their attempts are counted together.
func LoginKey(login string) string {
	if stored, err := NewLogin(login); err == nil {
		return stored
	}
	return "" // no user has such a login
}

// asStored converts a typed login and password as NewLogin and NewPassword do. possible says whether a user can have
// them.
func asStored(login, password string) (storedLogin, storedPassword string, possible bool) {
	storedLogin, errLogin := NewLogin(login)
	storedPassword, errPassword := precis.OpaqueString.String(password)
	return storedLogin, storedPassword, errLogin == nil && errPassword == nil
}

// asHashed converts a typed password as NewPassword does. A text that no password can be stays as it is; its check fails.
func asHashed(password string) string {
	if stored, err := precis.OpaqueString.String(password); err == nil {
		return stored
	}
	return password
}

// Register adds a bidder with a login and a password that NewLogin and NewPassword returned. Hashing takes turns with
// the password checks. Registrations take at most a quarter of the places, so that logins find one. Errors: ErrTaken,
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
	other, err := l.find(ctx, login) // a taken login costs no hash
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
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
