package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/account"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// tokenDocument has the names of RFC 6749, section 5.1. Times are in seconds.
type tokenDocument struct {
	AccessToken      string `json:"access_token"`
	TokenType        string `json:"token_type"`
	ExpiresIn        int64  `json:"expires_in"`
	RefreshToken     string `json:"refresh_token,omitempty"`
	RefreshExpiresIn int64  `json:"refresh_expires_in,omitempty"`
}

type credentials struct {
	Login    string `json:"login"`
	Password string `json:"password"`
}

func readCredentials(w http.ResponseWriter, r *http.Request) (c credentials, err error) {
	return c, web.ReadJSON(w, r, &c)
}

// fieldErrors names the fields that have an error.
func fieldErrors(login, password error) (flaws []web.FieldError) {
	if login != nil {
		flaws = append(flaws, web.FieldError{Field: "login", Detail: login.Error()})
	}
	if password != nil {
		flaws = append(flaws, web.FieldError{Field: "password", Detail: password.Error()})
	}
	return flaws
}

func notEmpty(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	return nil
}

type userDocument struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
	Role  string `json:"role"`
}

func (a *API) register(w http.ResponseWriter, r *http.Request) error {
	key, err := readKey(r)
	if err != nil {
		return err
	}
	body, err := readCredentials(w, r)
	if err != nil {
		return err
	}
	login, errLogin := account.NewLogin(body.Login)
	password, errPassword := account.NewPassword(body.Password)
	if flaws := fieldErrors(errLogin, errPassword); flaws != nil {
		return invalid(flaws...)
	}
	if wait := a.Limits.LoginAddress(w, r, time.Now()); wait > 0 {
		return tooMany(wait)
	}
	ctx, cancel := context.WithTimeout(r.Context(), loginLimit)
	defer cancel()
	u, replayed, err := a.Logins.Register(ctx, account.Registration{Login: login, Password: password, Key: key})
	if err != nil {
		return keyed(err, key)
	}
	markReplayed(w, replayed)
	w.Header().Set("Location", fmt.Sprintf("/v1/users/%d", u.ID))
	web.WriteJSON(w, r, http.StatusCreated, userDocument(u))
	return nil
}

func (a *API) login(w http.ResponseWriter, r *http.Request) error {
	body, err := readCredentials(w, r)
	if err != nil {
		return err
	}
	if flaws := fieldErrors(notEmpty(body.Login), notEmpty(body.Password)); flaws != nil {
		return invalid(flaws...)
	}
	if wait := a.Limits.Login(w, r, account.LoginKey(body.Login), time.Now()); wait > 0 {
		return tooMany(wait)
	}
	ctx, cancel := context.WithTimeout(r.Context(), loginLimit)
	defer cancel()
	token, err := a.Logins.Login(ctx, body.Login, body.Password)
	if err != nil {
		return err
	}
	writeToken(w, r, token)
	return nil
}

func writeToken(w http.ResponseWriter, r *http.Request, t account.Token) {
	w.Header().Set("Cache-Control", "no-store") // RFC 6749, section 5.1
	web.WriteJSON(w, r, http.StatusOK, tokenDocument{AccessToken: t.Access, TokenType: "Bearer", ExpiresIn: int64(t.Expires.Seconds()),
		RefreshToken: t.Refresh, RefreshExpiresIn: int64(t.RefreshExpires.Seconds())})
}

func (a *API) jwks(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/jwk-set+json") // RFC 7517, section 8.5.1
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, err := w.Write(a.Keys.JWKS())
	return err
}
