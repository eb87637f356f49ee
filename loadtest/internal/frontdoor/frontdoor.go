// Package frontdoor asks the system through its public API, apart from any load. Before a load it asks for the
// raffles, and afterwards for the outcome.
package frontdoor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// Client asks one system. It is safe for concurrent use.
type Client struct {
	base string // scheme and authority
	http *fasthttp.HostClient
}

const (
	// patience bounds a request whose context has no deadline.
	patience = 30 * time.Second
	// maxConns is more than any caller has requests under way.
	maxConns = 2048
)

// New makes a client; base is scheme and authority, perhaps with a slash at the end. It uses fasthttp, which costs half as much as net/http, because the
// load shares the processors with what it tries.
func New(base string) *Client {
	base = strings.TrimSuffix(base, "/")
	scheme, authority, _ := strings.Cut(base, "://")
	secure := scheme == "https"
	if !strings.Contains(authority, ":") {
		authority += map[bool]string{false: ":80", true: ":443"}[secure]
	}
	return &Client{base: base, http: &fasthttp.HostClient{
		Addr: authority, IsTLS: secure, MaxConns: maxConns, MaxIdleConnDuration: time.Minute,
		NoDefaultUserAgentHeader: true, DisablePathNormalizing: true, ReadBufferSize: 16 << 10,
		// Each kept connection may have been closed by a server that was restarted.
		MaxIdemponentCallAttempts: maxConns,
		RetryIfErr: func(r *fasthttp.Request, _ int, err error) (reset, retry bool) {
			return false, repeatable(r) && unanswered(err)
		},
	}}
}

// repeatable says whether a request that was sent twice has the effect of one.
func repeatable(r *fasthttp.Request) bool {
	return r.Header.IsGet() || r.Header.IsHead() || len(r.Header.Peek("Idempotency-Key")) > 0
}

// unanswered says whether the connection was closed before the first byte of an answer, as a kept one may be.
func unanswered(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// Close ends the connections that are kept open.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Base is scheme and authority.
func (c *Client) Base() string { return c.base }

// Answer is a response that was read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request; header is a list of names and values. A body is said to be JSON. If ctx has no deadline, the request
// has 30 s. The end of ctx ends no request that was sent. The error is the transport's.
func (c *Client) Do(ctx context.Context, method, target string, body []byte, header ...string) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	r, w := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(r)
	defer fasthttp.ReleaseResponse(w)
	r.SetRequestURI(c.base + target)
	r.Header.SetMethod(method)
	if body != nil {
		r.Header.SetContentType("application/json")
		r.SetBodyRaw(body)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	deadline, bounded := ctx.Deadline()
	if !bounded {
		deadline = time.Now().Add(patience)
	}
	if err := c.http.DoDeadline(r, w, deadline); err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", method, target, err)
	}
	a := Answer{Status: w.StatusCode(), Header: make(http.Header), Body: bytes.Clone(w.Body())}
	for name, value := range w.Header.All() {
		a.Header.Add(string(name), string(value))
	}
	return a, nil
}

// Get reads the JSON at a target into a value; any status but 200 is an error.
func (c *Client) Get(ctx context.Context, target string, into any) error {
	a, err := c.Do(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return fmt.Errorf("GET %s: status %d: %s", target, a.Status, a.Body)
	}
	if err := json.Unmarshal(a.Body, into); err != nil {
		return fmt.Errorf("GET %s: %w", target, err)
	}
	return nil
}

// Raffles returns the ids of the raffles that are open, closed or all, at most 10,000. It is an error if
// there are none.
func (c *Client) Raffles(ctx context.Context, status string) ([]int64, error) {
	var list struct {
		Raffles []struct {
			ID int64 `json:"id"`
		} `json:"raffles"`
	}
	if err := c.Get(ctx, "/v1/raffles?limit=10000&status="+status, &list); err != nil {
		return nil, err
	}
	if len(list.Raffles) == 0 {
		return nil, fmt.Errorf("%s has no raffles (%s): load the data set first", c.base, status)
	}
	ids := make([]int64, len(list.Raffles))
	for i, r := range list.Raffles {
		ids[i] = r.ID
	}
	return ids, nil
}
