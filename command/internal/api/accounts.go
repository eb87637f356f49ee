package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/stock-pyramid/stock-pyramid/command/internal/account"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

type tokenDocument struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
}

type credentials struct {
	Login    string `json:"login"`
	Password string `json:"password"`
}

// read reads a request's credentials and holds them to the two rules.
func (c *credentials) read(w http.ResponseWriter, r *http.Request, login, password func(string) error) error {
	if _, err := web.ReadJSON(w, r, c); err != nil {
		return err
	}
	var flaws []web.FieldError
	if err := login(c.Login); err != nil {
		flaws = append(flaws, web.FieldError{Field: "login", Detail: err.Error()})
	}
	if err := password(c.Password); err != nil {
		flaws = append(flaws, web.FieldError{Field: "password", Detail: err.Error()})
	}
	if flaws != nil {
		return invalid(flaws...)
	}
	return nil
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
	var body credentials
	if err := body.read(w, r, account.CheckLogin, account.CheckPassword); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), loginLimit)
	defer cancel()
	u, err := a.Logins.Register(ctx, body.Login, body.Password)
	if err != nil {
		return err
	}
	w.Header().Set("Location", fmt.Sprintf("/v1/users/%d", u.ID))
	web.WriteJSON(w, r, http.StatusCreated, userDocument(u))
	return nil
}

func (a *API) login(w http.ResponseWriter, r *http.Request) error {
	var body credentials
	if err := body.read(w, r, notEmpty, notEmpty); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), loginLimit)
	defer cancel()
	token, err := a.Logins.Login(ctx, body.Login, body.Password)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store") // RFC 6749, section 5.1
	web.WriteJSON(w, r, http.StatusOK, tokenDocument{
		AccessToken: token.Access, TokenType: "Bearer", ExpiresIn: int64(token.Expires.Seconds())})
	return nil
}

func (a *API) jwks(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/jwk-set+json") // RFC 7517, section 8.5.1
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, err := w.Write(a.Keys.JWKS())
	return err
}
