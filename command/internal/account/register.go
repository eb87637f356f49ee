package account

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/secure/precis"

	"github.com/stock-pyramid/stock-pyramid/command/internal/idempotency"
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
	ID    int64  `json:"id"`
	Login string `json:"login"`
	Role  string `json:"role"` // auth.RoleBidder or auth.RoleAdmin
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

// Registration is a login and a password that NewLogin and NewPassword returned. An empty key is none.
type Registration struct{ Login, Password, Key string }

// Register adds a bidder, or returns the one that the same registration with the same key has added before (replayed). Hashing
// takes turns with the password checks. Registrations take at most a quarter of the places, so that logins find one. Errors:
// ErrTaken, idempotency.ErrReused, ErrBusy, ErrUnavailable, primary.ErrUnknownOutcome.
func (l *Logins) Register(ctx context.Context, r Registration) (u User, replayed bool, err error) {
	u, replayed, err = l.register(ctx, r)
	l.registrations.WithLabelValues(label(err)).Inc()
	if err != nil {
		return User{}, false, fmt.Errorf("register: %w", err)
	}
	return u, replayed, nil
}

func (l *Logins) register(ctx context.Context, r Registration) (u User, replayed bool, err error) {
	select {
	case l.registering <- struct{}{}:
		defer func() { <-l.registering }()
	default:
		return User{}, false, ErrBusy
	}
	leave, err := l.checks.enter()
	if err != nil {
		return User{}, false, err
	}
	defer leave()
	other, err := l.find(ctx, r.Login) // a taken login costs no hash
	if err == nil && other == nil {
		u, err = l.add(ctx, r)
		if !errors.Is(err, ErrTaken) || r.Key == "" {
			return u, false, err
		}
		other, err = l.find(ctx, r.Login)
	}
	if err != nil {
		return User{}, false, err
	}
	u, err = l.registered(ctx, other, r)
	return u, err == nil, err
}

// add hashes the password and adds the user, with the key.
func (l *Logins) add(ctx context.Context, r Registration) (User, error) {
	var hash string
	if err := l.checks.turn(ctx, func() { hash = auth.HashPassword(r.Password) }); err != nil {
		return User{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
	defer cancel()
	var added []writedb.User
	step := primary.Step{SQL: writedb.AddUser, Args: []any{r.Login, hash},
		Read: primary.RowsInto(&added, pgx.RowToStructByPos[writedb.User])}
	if key := idempotency.OfRegistration(r.Login, r.Key); key.Key != "" {
		step.SQL, step.Args = writedb.AddUserOnce, append(step.Args, key.Scope, key.Key)
	}
	_, err := l.conns.Transact(ctx, step)
	switch {
	case err != nil:
		return User{}, err
	case len(added) == 0:
		return User{}, ErrTaken
	}
	return User{ID: added[0].ID, Login: added[0].Login, Role: added[0].Role}, nil
}

// registered returns the user whom the same registration has added. other has the login. The stored hash tells whether the
// password is the same; after a change of the password it is not.
func (l *Logins) registered(ctx context.Context, other *writedb.User, r Registration) (u User, err error) {
	if other == nil || r.Key == "" {
		return User{}, ErrTaken
	}
	var first idempotency.First
	key := idempotency.OfRegistration(r.Login, r.Key)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
	defer cancel()
	if _, err := l.conns.Transact(bounded, key.Find(&first)...); err != nil {
		return User{}, repeatableRead(err)
	}
	switch found, err := first.Into(key, &u); {
	case err != nil:
		return User{}, err
	case !found || u.ID != other.ID:
		return User{}, ErrTaken
	}
	right, err := l.checks.check(ctx, other.PasswordHash, r.Password)
	if err == nil && !right {
		err = idempotency.ErrReused
	}
	return u, err
}

// repeatableRead says of a transaction that only reads that nothing was done.
func repeatableRead(err error) error {
	if errors.Is(err, primary.ErrUnknownOutcome) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
