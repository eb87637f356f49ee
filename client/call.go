package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// call is one request of the API, with what its retries need to know.
type call struct {
	method, target string
	body           any    // sent as JSON; nil: none
	key            string // the Idempotency-Key
	repeatable     bool   // two such requests do what one does
	write          bool   // its error says whether it was perhaps done
	authorized     bool   // it needs a token
	read           bool   // it may have a position
	at             Position
	path           string
}

// do makes a call and decodes the answer into a value, if that is not nil.
func (c *Client) do(ctx context.Context, q call, into any) (Answer, error) {
	var body []byte
	if q.body != nil {
		var err error
		if body, err = json.Marshal(q.body); err != nil {
			return Answer{}, fmt.Errorf("%s %s: %w", q.method, q.target, err)
		}
	}
	var doubt error // of the first attempt that was perhaps carried out
	for try := 1; ; try++ {
		a, err := c.try(ctx, q, body)
		if err == nil && into != nil {
			if err = json.Unmarshal(a.Body, into); err != nil {
				err = fmt.Errorf("%w: %w", errUnreadable, err)
			}
		}
		if err == nil {
			return a, nil
		}
		err = fmt.Errorf("%s %s: %w", q.method, q.target, err)
		if doubt == nil && q.write && inDoubt(err) {
			doubt = err
		}
		pause, again := q.again(err)
		pause = max(pause, backoff(try))
		if !again || try >= c.core.attempts || endsBefore(ctx, pause) {
			return a, q.failure(doubt, err)
		}
		if ended := sleep.For(ctx, pause); ended != nil {
			return a, q.failure(doubt, fmt.Errorf("%w; before that: %w", ended, err))
		}
	}
}

// Pauses where the answer asks for none. They double, and are drawn at random so that many clients don't come back at once.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

func backoff(try int) time.Duration {
	pause := min(firstPause<<min(try-1, 10), lastPause)
	return pause/2 + rand.N(pause/2)
}

// endsBefore says whether the context ends before a pause does.
func endsBefore(ctx context.Context, pause time.Duration) bool {
	deadline, has := ctx.Deadline()
	return ctx.Err() != nil || has && time.Until(deadline) <= pause
}

// again says whether a call that has failed may be sent again, and after which pause.
func (q call) again(err error) (pause time.Duration, again bool) {
	if _, is := errors.AsType[*refreshError](err); is || final(err) {
		return 0, false // a refresh was tried often enough
	}
	p, answered := errors.AsType[*Problem](err)
	if !answered {
		return 0, q.repeatable || unsent(err)
	}
	switch p.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return p.RetryAfter, q.repeatable || p.nothingDone()
	}
	return 0, false
}

// try sends a call once, and once more with another token if its token is no longer accepted.
func (c *Client) try(ctx context.Context, q call, body []byte) (Answer, error) {
	if !q.authorized {
		return c.attempt(ctx, q, body, "")
	}
	token, err := c.tokens.access(ctx, "")
	if err != nil {
		return Answer{}, err
	}
	a, err := c.attempt(ctx, q, body, token)
	if !errors.Is(err, BadToken) {
		return a, err
	}
	if token, err = c.tokens.access(ctx, token); err != nil {
		return a, err
	}
	return c.attempt(ctx, q, body, token)
}

// attempt sends a call once. Any status but 2xx is a Problem.
func (c *Client) attempt(ctx context.Context, q call, body []byte, token string) (Answer, error) {
	var header []string
	if token != "" {
		header = append(header, "Authorization", "Bearer "+token)
	}
	if q.key != "" {
		header = append(header, "Idempotency-Key", q.key)
	}
	if q.path != "" {
		header = append(header, "Read-Path", q.path)
	}
	at := q.at
	if q.read {
		at = later(q.at, c.wrote.position())
	}
	if at != "" {
		header = append(header, "Min-LSN", string(at))
	}
	bounded, cancel := context.WithTimeout(ctx, c.core.attemptTime)
	defer cancel()
	a, err := c.Send(bounded, q.method, q.target, body, header...)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = tardyError{err}
	}
	if err != nil {
		return a, err
	}
	if a.Status/100 != 2 {
		p := problemOf(a)
		if p.deniesPosition() {
			c.wrote.forget(at)
		}
		return a, p
	}
	c.wrote.see(Position(a.Header.Get("Commit-LSN")))
	return a, nil
}
