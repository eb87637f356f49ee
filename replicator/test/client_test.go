package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

func (c *client) login(t testing.TB) {
	t.Helper()
	who := map[string]string{"login": fmt.Sprintf("client-%d-%s", c.number, uuid.NewString()[:8]), "password": "a password"}
	if status, _, answer := c.send(http.MethodPost, "/v1/users", "", who); status != http.StatusCreated {
		t.Fatalf("user: %d %s", status, answer)
	}
	status, _, answer := c.send(http.MethodPost, "/v1/login", "", who)
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(answer, &token); err != nil || status != http.StatusOK {
		t.Fatalf("login: %d %s %v", status, answer, err)
	}
	c.token = token.AccessToken
}

// send sends a request. It returns the status 0 if there was no answer.
func (c *client) send(method, path, key string, body any) (status int, at lsn.Position, answer []byte) {
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(encode(body))
	}
	request, err := http.NewRequest(method, c.command+path, in)
	if err != nil {
		return 0, at, nil
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+c.token)
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := c.readers.client.Do(request)
	if err != nil {
		return 0, at, nil
	}
	defer response.Body.Close()
	if answer, err = io.ReadAll(response.Body); err != nil {
		return 0, at, nil
	}
	if text := response.Header.Get("Commit-LSN"); text != "" {
		if at, err = lsn.ParsePosition(text); err != nil {
			return 0, at, answer
		}
	}
	return response.StatusCode, at, answer
}
