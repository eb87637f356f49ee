package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/account"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

func (a *API) me(w http.ResponseWriter, r *http.Request, who auth.Identity) error {
	u, err := a.Logins.User(r.Context(), who.UserID)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	web.WriteJSON(w, r, http.StatusOK, userDocument(u))
	return nil
}

func (a *API) changePassword(w http.ResponseWriter, r *http.Request, who auth.Identity) error {
	var body struct {
		Old string `json:"old_password"`
		New string `json:"new_password"`
	}
	if err := web.ReadJSON(w, r, &body); err != nil {
		return err
	}
	var flaws []web.FieldError
	if err := notEmpty(body.Old); err != nil {
		flaws = append(flaws, web.FieldError{Field: "old_password", Detail: err.Error()})
	}
	password, err := account.NewPassword(body.New)
	if err != nil {
		flaws = append(flaws, web.FieldError{Field: "new_password", Detail: err.Error()})
	}
	if flaws != nil {
		return invalid(flaws...)
	}
	// No login has a space, so the user has a rate of their own for this.
	if wait := a.Limits.Login(w, r, "id "+strconv.FormatInt(who.UserID, 10), time.Now()); wait > 0 {
		return tooMany(wait)
	}
	ctx, cancel := context.WithTimeout(r.Context(), loginLimit)
	defer cancel()
	if err := a.Logins.ChangePassword(ctx, who.UserID, body.Old, password); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readRefreshToken reads the body of a request that needs no other proof. Such requests count as logins do.
func (a *API) readRefreshToken(w http.ResponseWriter, r *http.Request) (string, error) {
	var body struct {
		Token string `json:"refresh_token"`
	}
	if err := web.ReadJSON(w, r, &body); err != nil {
		return "", err
	}
	if err := notEmpty(body.Token); err != nil {
		return "", invalid(web.FieldError{Field: "refresh_token", Detail: err.Error()})
	}
	if wait := a.Limits.LoginAddress(w, r, time.Now()); wait > 0 {
		return "", tooMany(wait)
	}
	return body.Token, nil
}

func (a *API) refresh(w http.ResponseWriter, r *http.Request) error {
	old, err := a.readRefreshToken(w, r)
	if err != nil {
		return err
	}
	token, err := a.Logins.Refresh(r.Context(), old)
	if err != nil {
		return repeatable(err, "it is not known whether the token was traded; ask again at once with the same token")
	}
	writeToken(w, r, token)
	return nil
}

func (a *API) logout(w http.ResponseWriter, r *http.Request) error {
	token, err := a.readRefreshToken(w, r)
	if err != nil {
		return err
	}
	if err := a.Logins.Logout(r.Context(), token); err != nil {
		return repeatable(err, "it is not known whether you are logged out; ask again")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
