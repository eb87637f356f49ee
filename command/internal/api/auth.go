package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// userHandler answers a request of a user whose token was checked.
type userHandler func(w http.ResponseWriter, r *http.Request, who auth.Identity) error

func (a *API) asUser(h userHandler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		token, err := bearer(r)
		if err != nil {
			return err
		}
		who, err := a.Verifier.Verify(r.Context(), token)
		if err != nil {
			return err
		}
		if wait := a.Limits.User(w, who.UserID, time.Now()); wait > 0 {
			return tooMany(wait)
		}
		return h(w, r, who)
	}
}

func (a *API) asAdmin(h userHandler) web.Handler {
	return a.asUser(func(w http.ResponseWriter, r *http.Request, who auth.Identity) error {
		if who.Role != auth.RoleAdmin {
			return web.AdminsOnly.Problem("only an admin may do this")
		}
		return h(w, r, who)
	})
}

// bearer takes the token from the one Authorization header (RFC 6750, section 2.1).
func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", web.NoToken.Problem("send a token: Authorization: Bearer ...")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", web.NoToken.Problem("send a token: Authorization: Bearer ...")
	}
	return token, nil
}
