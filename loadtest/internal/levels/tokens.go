package levels

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/reconcile"
)

const (
	// loginsAtOnce is more logins than the service hashes at once, and so few that none is refused for long.
	loginsAtOnce = 4
	// tokenSpare is how long a cached token must still be valid. In a longer run users log in again.
	tokenSpare = 20 * time.Minute
)

var errNoSuchLogin = errors.New("login refused")

// tokens obtains access tokens and keeps them in a file that only the owner can read.
type tokens struct {
	door  *client.Client
	file  string
	mu    sync.Mutex
	known map[string]string // by login
}

func openTokens(door *client.Client, file string) (*tokens, error) {
	t := &tokens{door: door, file: file, known: make(map[string]string)}
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return t, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &t.known)
	}
	if err != nil {
		return nil, fmt.Errorf("cached tokens: %w", err)
	}
	return t, nil
}

// prune forgets tokens that expire too soon or whose key the service no longer publishes.
func (t *tokens) prune(ctx context.Context, until time.Time) error {
	var keys struct {
		Keys []struct {
			Kid string `json:"kid"`
		} `json:"keys"`
	}
	a, err := get(ctx, t.door, "/.well-known/jwks.json")
	if err == nil {
		err = json.Unmarshal(a.Body, &keys)
	}
	if err != nil {
		return fmt.Errorf("public keys: %w", err)
	}
	published := make(map[string]bool)
	for _, k := range keys.Keys {
		published[k.Kid] = true
	}
	for login, token := range t.known {
		if c, err := inspect(token); err != nil || !published[c.kid] || c.expires.Before(until) {
			delete(t.known, login)
		}
	}
	return nil
}

// claims are what a load wants to know of a token.
type claims struct {
	kid     string
	user    uint32 // 0 if the token names none
	expires time.Time
}

// inspect reads a JSON Web Token (RFC 7519) without checking it, because the services check it.
func inspect(token string) (c claims, err error) {
	var body jwt.RegisteredClaims
	t, _, err := jwt.NewParser().ParseUnverified(token, &body)
	if err != nil || body.ExpiresAt == nil {
		return c, errors.Join(errors.New("not a token that expires"), err)
	}
	id, err := strconv.ParseUint(body.Subject, 10, 32)
	return claims{kid: fmt.Sprint(t.Header["kid"]), user: uint32(id), expires: body.ExpiresAt.Time}, err
}

// account is a virtual user's login. The zero value is not logged in.
type account struct {
	bearer  string
	id      uint32 // of the user in the system
	expires time.Time
	over    bool // the raffle that the user bids on is closed
	// seen is the highest position that the user was shown, as its own commit or as a reading.
	seen lsn.Position
	own  reconcile.Entry // the last acknowledged bid; none if its ID is 0
}

// see notes the position that a header of an answer names.
func (a *account) see(r *fasthttp.Response, header string) {
	if at, err := lsn.ParsePosition(string(r.Header.Peek(header))); err == nil {
		a.seen = at
	}
}

// spare is how long a token must still be valid for a user to go on with it.
const spare = time.Minute

func (a account) good(now time.Time) bool { return now.Add(spare).Before(a.expires) }

func newAccount(token string) (account, error) {
	c, err := inspect(token)
	if err != nil {
		return account{}, fmt.Errorf("token: %w", err)
	}
	return account{bearer: "Bearer " + token, id: c.user, expires: c.expires}, nil
}

// obtain returns the account of every login, in their order.
func (t *tokens) obtain(ctx context.Context, logins []string, progress func(done, total int64)) ([]account, error) {
	var missing []string
	seen := make(map[string]bool)
	for _, login := range logins {
		if t.known[login] == "" && !seen[login] {
			seen[login] = true
			missing = append(missing, login)
		}
	}
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(loginsAtOnce)
	var done int64
	for _, login := range missing {
		group.Go(func() error {
			token, err := logIn(groupContext, t.door, login)
			if err != nil {
				return fmt.Errorf("log in as %s: %w", login, err)
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			t.known[login] = token
			done++
			progress(done, int64(len(missing)))
			return nil
		})
	}
	err := group.Wait()
	if len(missing) > 0 {
		err = errors.Join(err, t.save()) // also the tokens of an attempt that was broken off
	}
	if err != nil {
		return nil, err
	}
	accounts := make([]account, len(logins))
	for i, login := range logins {
		if accounts[i], err = newAccount(t.known[login]); err != nil {
			return nil, fmt.Errorf("log in as %s: %w", login, err)
		}
	}
	return accounts, nil
}

func (t *tokens) save() error {
	raw, err := json.Marshal(t.known)
	if err != nil {
		return err
	}
	temporary := t.file + ".new"
	if err := errors.Join(os.MkdirAll(filepath.Dir(t.file), 0o700), os.WriteFile(temporary, raw, 0o600)); err != nil {
		return fmt.Errorf("cache tokens: %w", err)
	}
	return os.Rename(temporary, t.file)
}

func credentials(login string) []byte {
	return []byte(`{"login":` + strconv.Quote(login) + `,"password":"` + dataset.Password + `"}`)
}

func parseToken(body []byte) (string, error) {
	var doc struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", err
	}
	if doc.Token == "" {
		return "", errors.New("the answer holds no token")
	}
	return doc.Token, nil
}

// loginAttempts outlast any time in which too many log in at once.
const loginAttempts = 100

// logIn returns an access token.
func logIn(ctx context.Context, door *client.Client, login string) (string, error) {
	s, err := door.Login(ctx, login, dataset.Password)
	if p, refused := errors.AsType[*client.Problem](err); refused && p.Status == http.StatusUnauthorized {
		return "", errNoSuchLogin
	}
	if err != nil {
		return "", err
	}
	if token := s.Tokens().Access; token != "" {
		return token, nil
	}
	return "", errors.New("the answer holds no token")
}
