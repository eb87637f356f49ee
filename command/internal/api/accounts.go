package api

import (
	"context"
	"net/http"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

type tokenDocument struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
}

func (a *API) login(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Login    string `json:"login"`
		Password string `json:"password"`
	}
	if _, err := web.ReadJSON(w, r, &body); err != nil {
		return err
	}
	var missing []web.FieldError
	if body.Login == "" {
		missing = append(missing, web.FieldError{Field: "login", Detail: "must not be empty"})
	}
	if body.Password == "" {
		missing = append(missing, web.FieldError{Field: "password", Detail: "must not be empty"})
	}
	if missing != nil {
		return web.NewProblem(http.StatusUnprocessableEntity, "a value is missing", missing...)
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
