package account

import (
	"context"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

// User returns a user. Errors: ErrUnknownUser, ErrBusy, ErrUnavailable.
func (l *Logins) User(ctx context.Context, id int64) (User, error) {
	ctx, leave, err := l.families.enter(ctx)
	if err != nil {
		return User{}, fmt.Errorf("user %d: %w", id, err)
	}
	defer leave()
	u, err := l.byID(ctx, l.families.conns, id)
	if err != nil {
		return User{}, fmt.Errorf("user %d: %w", id, err)
	}
	return User{ID: u.ID, Login: u.Login, Role: u.Role}, nil
}

func (l *Logins) byID(ctx context.Context, conns *primary.Conns, id int64) (*writedb.User, error) {
	u, err := l.read(ctx, conns, func(ctx context.Context, q *writedb.Queries) (writedb.User, error) { return q.UserByID(ctx, id) })
	if err == nil && u == nil {
		err = ErrUnknownUser
	}
	return u, err
}

// Refresh trades a refresh token for an access token and the next refresh token. Errors: ErrRefreshToken, ErrReused,
// ErrBusy, ErrUnavailable, and primary.ErrUnknownOutcome, after which the same token may be traded again.
func (l *Logins) Refresh(ctx context.Context, text string) (Token, error) {
	token, err := l.refresh(ctx, text)
	l.families.outcomes.WithLabelValues(label(err)).Inc()
	if err != nil {
		return Token{}, fmt.Errorf("refresh: %w", err)
	}
	return token, nil
}

func (l *Logins) refresh(ctx context.Context, text string) (Token, error) {
	token, ok := parseRefreshToken(text)
	if !ok {
		return Token{}, ErrRefreshToken
	}
	t, err := l.families.trade(ctx, token)
	if err != nil {
		return Token{}, err
	}
	access, err := l.sign(t.user, t.role)
	if err != nil {
		return Token{}, err
	}
	return Token{Access: access, Expires: l.signer.TTL(), Refresh: t.next.String(), RefreshExpires: t.expires}, nil
}

// Logout ends the family of a refresh token. A token that has no family is no error. Errors: ErrBusy, ErrUnavailable, and
// primary.ErrUnknownOutcome, after which it may be repeated.
func (l *Logins) Logout(ctx context.Context, text string) error {
	token, ok := parseRefreshToken(text)
	if !ok {
		return nil
	}
	if err := l.families.end(ctx, token); err != nil {
		return fmt.Errorf("log out: %w", err)
	}
	return nil
}

// ChangePassword replaces a password by one that NewPassword returned, and ends all families of the user. Both hashes take
// turns with the password checks. Errors: ErrPassword, ErrUnknownUser, ErrBusy, ErrUnavailable, primary.ErrUnknownOutcome.
func (l *Logins) ChangePassword(ctx context.Context, id int64, old, password string) error {
	if err := l.changePassword(ctx, id, old, password); err != nil {
		return fmt.Errorf("change the password of user %d: %w", id, err)
	}
	return nil
}

func (l *Logins) changePassword(ctx context.Context, id int64, old, password string) error {
	leave, err := l.checks.enter()
	if err != nil {
		return err
	}
	defer leave()
	u, err := l.byID(ctx, l.conns, id)
	if err != nil {
		return err
	}
	right, err := l.checks.check(ctx, u.PasswordHash, asHashed(old))
	if err != nil {
		return err
	}
	if !right {
		return ErrPassword
	}
	var hash string
	if err := l.checks.turn(ctx, func() { hash = auth.HashPassword(password) }); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
	defer cancel()
	var changed int64
	_, err = l.conns.Transact(ctx,
		primary.Step{SQL: writedb.ChangePassword, Args: []any{hash, id, u.PasswordHash}, Read: primary.Affected(&changed)},
		primary.Step{SQL: writedb.EndFamilies, Args: []any{id}})
	if err == nil && changed == 0 {
		err = ErrPassword // another request has changed it meanwhile
	}
	return err
}
