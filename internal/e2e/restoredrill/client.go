package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// size is a shoe size that only this drill bids on.
const size = 333

const patience = time.Minute

// client bids on one raffle and reads it.
type client struct {
	url, token string
	raffle     int64
	http       http.Client
}

// answer is a response with what the drill looks at.
type answer struct {
	status int
	header http.Header
	body   []byte
	ids    map[int64]bool
	at     lsn.Position
}

func (c *client) do(ctx context.Context, method, path string, body any, into any, header ...string) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return a, err
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, sent)
	if err != nil {
		return a, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+c.token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := c.http.Do(r)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	a.status, a.header = response.StatusCode, response.Header
	if a.body, err = io.ReadAll(response.Body); err != nil || a.status >= 300 || into == nil {
		return a, err
	}
	return a, json.Unmarshal(a.body, into)
}

// login also finds an open raffle.
func (c *client) login(ctx context.Context) error {
	c.token = "none"
	var token struct {
		Token string `json:"access_token"`
	}
	var list struct {
		Raffles []struct{ ID int64 } `json:"raffles"`
	}
	a, err := c.do(ctx, "POST", "/v1/login", map[string]string{"login": "user1", "password": "pyramid"}, &token)
	if err == nil && a.status == http.StatusOK {
		c.token = token.Token
		a, err = c.do(ctx, "GET", "/v1/raffles?status=open&limit=1", nil, &list)
	}
	if err != nil || a.status != http.StatusOK || len(list.Raffles) == 0 {
		return errors.Join(fmt.Errorf("login: %d %.200s", a.status, a.body), err)
	}
	c.raffle = list.Raffles[0].ID
	return nil
}

func (c *client) bids() string { return fmt.Sprintf("/v1/raffles/%d/bids", c.raffle) }

// bid bids until the bid is accepted.
func (c *client) bid(ctx context.Context, price int64) (id int64, at string, err error) {
	key := fmt.Sprintf("drill-%d-%d", time.Now().UnixNano(), price)
	var bid struct{ ID int64 }
	err = until(ctx, func() error {
		a, err := c.do(ctx, "POST", c.bids(), map[string]int64{"size": size, "price": price}, &bid, "Idempotency-Key", key)
		if err == nil && a.status != http.StatusCreated {
			err = fmt.Errorf("a bid: %d %.200s", a.status, a.body)
		}
		at = a.header.Get("Commit-LSN")
		return err
	})
	return bid.ID, at, err
}

// read reads all bids of the size. path and position may be "".
func (c *client) read(ctx context.Context, path, position string) (a answer, err error) {
	var list struct {
		Bids []struct{ ID int64 } `json:"bids"`
	}
	var header []string
	if path != "" {
		header = append(header, "Read-Path", path)
	}
	if position != "" {
		header = append(header, "Min-LSN", position)
	}
	a, err = c.do(ctx, "GET", fmt.Sprintf("%s?size=%d&limit=2000", c.bids(), size), nil, &list, header...)
	if err != nil || a.status != http.StatusOK {
		return a, err
	}
	a.ids = map[int64]bool{}
	for _, bid := range list.Bids {
		a.ids[bid.ID] = true
	}
	a.at, err = lsn.ParsePosition(a.header.Get("Read-LSN"))
	return a, err
}
