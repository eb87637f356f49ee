package api

import (
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// badAccounts are the bad requests of accounts, except registrations and logins.
func badAccounts(s *service, bearer func(string) map[string]string) (list []badRequest) {
	add := func(name, method, path, body string, status int, fields string, header map[string]string) {
		list = append(list, badRequest{name: name, method: method, path: path, body: body, status: status, fields: fields, header: header})
	}
	text, nobody, none := map[string]string{"Content-Type": "text/plain"}, bearer(s.token(1000)), map[string]string{"Authorization": ""}
	const me, password, good = "/v1/me", "/v1/me/password", `{"old_password":"pyramid","new_password":"12345678"}`
	add("me: no token", "GET", me, "", 401, "", none)
	add("me: foreign token", "GET", me, "", 401, "", bearer(foreignToken(s.t)))
	add("me: token of nobody", "GET", me, "", 401, "", nobody)
	add("POST of me", "POST", me, "{}", 405, "", nil)
	add("POST of password", "POST", password, good, 405, "", nil)
	add("password: no token", "PUT", password, good, 401, "", none)
	add("password: token of nobody", "PUT", password, good, 401, "", nobody)
	add("password: nothing", "PUT", password, `{}`, 422, "old_password new_password", nil)
	add("password: null", "PUT", password, `{"old_password":null,"new_password":null}`, 422, "old_password new_password", nil)
	add("password: wrong", "PUT", password, `{"old_password":"wrong","new_password":"12345678"}`, 403, "", nil)
	add("password: no text", "PUT", password, `{"old_password":"pyra\u0000mid","new_password":"12345678"}`, 403, "", nil)
	add("password: short", "PUT", password, `{"old_password":"pyramid","new_password":"1234567"}`, 422, "new_password", nil)
	add("password: long", "PUT", password, `{"old_password":"pyramid","new_password":"`+strings.Repeat("x", 129)+`"}`, 422, "new_password", nil)
	add("password: number", "PUT", password, `{"old_password":"pyramid","new_password":12345678}`, 400, "new_password", nil)
	add("password: login", "PUT", password, `{"login":"user2","old_password":"pyramid","new_password":"12345678"}`, 400, "login", nil)
	add("password: form", "PUT", password, "x", 415, "", text)
	add("password: large", "PUT", password, `{"old_password":"`+strings.Repeat("x", web.MaxBody)+`"}`, 413, "", nil)
	for _, path := range []string{"/v1/token", "/v1/logout"} {
		add(path+": nothing", "POST", path, `{}`, 422, "refresh_token", nil)
		add(path+": empty", "POST", path, `{"refresh_token":""}`, 422, "refresh_token", nil)
		add(path+": null", "POST", path, `{"refresh_token":null}`, 422, "refresh_token", nil)
		add(path+": number", "POST", path, `{"refresh_token":1}`, 400, "refresh_token", nil)
		add(path+": unknown field", "POST", path, `{"refresh_token":"x","grant_type":"refresh_token"}`, 400, "grant_type", nil)
		add(path+": not JSON", "POST", path, `refresh_token=x`, 400, "", nil)
		add(path+": form", "POST", path, `refresh_token=x`, 415, "", text)
		add(path+": large", "POST", path, `{"refresh_token":"`+strings.Repeat("x", web.MaxBody)+`"}`, 413, "", nil)
	}
	add("token: garbage", "POST", "/v1/token", `{"refresh_token":"x"}`, 401, "", nil)
	add("token: unknown", "POST", "/v1/token", `{"refresh_token":"`+strings.Repeat("x", 64)+`"}`, 401, "", nil)
	add("GET of token", "GET", "/v1/token", "", 405, "", nil)
	return list
}
