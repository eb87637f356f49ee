package client

import (
	"context"
	"crypto/rand"
	"net/http"
)

// User is a user of the system.
type User struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
	// Role is RoleBidder or RoleAdmin.
	Role string `json:"role"`
}

// The roles of a User.
const (
	RoleBidder = "bidder"
	RoleAdmin  = "admin"
)

// Session is a client that is logged in. It refreshes its access token before that runs out, and if it is refused. Its
// reads hold its own writes (see WithoutReadYourWrites).
type Session struct{ Client }

type credentials struct {
	Login    string `json:"login"`
	Password string `json:"password"`
}

// Register makes a user, who may then log in. If its answer is lost, the request is sent again with its key.
func (c *Client) Register(ctx context.Context, login, password string) (User, error) {
	var u User
	_, err := c.do(ctx, call{method: http.MethodPost, target: "/v1/users", body: credentials{login, password}, key: newKey(), repeatable: true, write: true}, &u)
	return u, err
}

// Login logs in. It is repeated after a lost answer, because a login that nobody uses does no harm.
func (c *Client) Login(ctx context.Context, login, password string) (*Session, error) {
	var answer tokenAnswer
	if _, err := c.do(ctx, call{method: http.MethodPost, target: "/v1/login", body: credentials{login, password}, repeatable: true}, &answer); err != nil {
		return nil, err
	}
	s := c.session()
	s.tokens.take(answer)
	return s, nil
}

// Resume makes a session of the tokens of an earlier one. The refresh token alone will do. Only one session may use them,
// because it trades them.
func (c *Client) Resume(t Tokens) *Session {
	s := c.session()
	s.tokens.now, s.tokens.renew = t, t.Expires.Add(-margin)
	return s
}

func (c *Client) session() *Session {
	s := &Session{Client{core: c.core, tokens: &tokens{client: &Client{core: c.core}}}}
	if !c.core.forget {
		s.wrote = new(memory)
	}
	return s
}

// Tokens are the present tokens. The next refresh replaces them.
func (s *Session) Tokens() Tokens {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	return s.tokens.now
}

// Send does what Client.Send does, with the token of the session.
func (s *Session) Send(ctx context.Context, method, target string, body []byte, header ...string) (Answer, error) {
	token, err := s.tokens.access(ctx, "")
	if err != nil {
		return Answer{}, err
	}
	return s.Client.Send(ctx, method, target, body, append([]string{"Authorization", "Bearer " + token}, header...)...)
}

// Refresh trades the tokens now. A session does so by itself when it has to.
func (s *Session) Refresh(ctx context.Context) error {
	_, err := s.tokens.access(ctx, s.Tokens().Access)
	return err
}

// LastWrite is the position that the reads of the session have at least; "" before the first write, and after the database
// has lost it.
func (s *Session) LastWrite() Position { return s.wrote.position() }

// Logout ends the refresh tokens of the session, which can't be used from then on. Its access token runs out by itself. If
// the logout fails, the session goes on.
func (s *Session) Logout(ctx context.Context) error {
	old, err := s.tokens.end(ctx)
	if err != nil || old.Refresh == "" {
		return err
	}
	_, err = s.do(ctx, call{method: http.MethodPost, target: "/v1/logout", body: map[string]string{"refresh_token": old.Refresh}, repeatable: true}, nil)
	if err != nil {
		s.tokens.keep(old)
	}
	return err
}

// Me returns the user of the session.
func (s *Session) Me(ctx context.Context) (User, error) {
	var u User
	_, err := s.do(ctx, call{method: http.MethodGet, target: "/v1/me", authorized: true, repeatable: true}, &u)
	return u, err
}

// ChangePassword replaces the user's password, and ends the refresh tokens of all sessions, this one too. After a lost
// answer try to log in with the new password.
func (s *Session) ChangePassword(ctx context.Context, old, password string) error {
	_, err := s.do(ctx, call{method: http.MethodPut, target: "/v1/me/password", authorized: true, write: true,
		body: map[string]string{"old_password": old, "new_password": password}}, nil)
	return err
}

// newKey makes an Idempotency-Key that nobody else makes.
func newKey() string { return rand.Text() }
