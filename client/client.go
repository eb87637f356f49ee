package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Client calls the API without a login. Make one by New.
type Client struct {
	core   *core
	wrote  *memory // the position of the session's last write; nil without one
	tokens *tokens // nil without a login
}

// core is what a client and its sessions share.
type core struct {
	base        string // scheme and authority
	http        *http.Client
	attempts    int
	attemptTime time.Duration
	forget      bool
}

// Defaults of New.
const (
	// DefaultAttempts last for ten seconds or more, longer than a failover.
	DefaultAttempts = 12
	// DefaultAttemptTime is a little more than the front door waits for an answer.
	DefaultAttemptTime = 20 * time.Second
	// idleConnections are kept for each host.
	idleConnections = 256
	// answerAtMost bounds an answer, in bytes. 10,000 raffles are 2 MB.
	answerAtMost = 64 << 20
)

// An Option changes what New makes.
type Option func(*core)

// WithHTTPClient makes the client send its requests by h. A time-out of h does not end live feeds.
func WithHTTPClient(h *http.Client) Option { return func(c *core) { c.http = h } }

// WithAttempts bounds how often a request is sent, and how often in a row a live feed may fail to open. 1 means no retry.
func WithAttempts(n int) Option { return func(c *core) { c.attempts = n } }

// WithAttemptTime bounds the time in which one attempt must be answered. It does not bound live feeds.
func WithAttemptTime(d time.Duration) Option { return func(c *core) { c.attemptTime = d } }

// WithoutReadYourWrites makes sessions read without the position of their last write. A read may then be answered sooner,
// from a state before the write.
func WithoutReadYourWrites() Option { return func(c *core) { c.forget = true } }

// New makes a client of the system at base, which is scheme and authority, such as http://127.0.0.1:8080.
func New(base string, options ...Option) *Client {
	c := &core{base: strings.TrimSuffix(base, "/"), attempts: DefaultAttempts, attemptTime: DefaultAttemptTime}
	for _, o := range options {
		o(c)
	}
	if c.http == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, idleConnections
		c.http = &http.Client{Transport: transport}
	}
	return &Client{core: c}
}

// Base is scheme and authority of the system.
func (c *Client) Base() string { return c.core.base }

// Close ends the connections that are kept and not in use.
func (c *Client) Close() { c.core.http.CloseIdleConnections() }

// Answer is a response that was read to its end, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Send sends one request as it is: without a token, a position or a retry. It is for what no other call does. A body is
// sent as JSON; header is a list of names and values. The error is the transport's.
//
// If a kept connection ends before an answer, net/http sends the request once more, provided that it is a GET or has an
// Idempotency-Key.
func (c *Client) Send(ctx context.Context, method, target string, body []byte, header ...string) (Answer, error) {
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.core.base+target, in)
	if err != nil {
		return Answer{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w, err := c.core.http.Do(r)
	if err != nil {
		return Answer{}, err
	}
	out, err := io.ReadAll(io.LimitReader(w.Body, answerAtMost+1))
	if closing := w.Body.Close(); err == nil {
		err = closing
	}
	if err == nil && len(out) > answerAtMost {
		err = fmt.Errorf("the answer is over %d bytes", answerAtMost)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: read the answer: %w", method, target, err)
	}
	return Answer{w.StatusCode, w.Header, out}, nil
}
