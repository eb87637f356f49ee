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
	answerSize  int64 // bounds an answer, in bytes
	forget      bool
	traceparent func(context.Context) string // nil: none
}

// Defaults of New.
const (
	// DefaultAttempts last for 6 to 14 s if each fails at once. They last for 11 s or more if each answer has Retry-After, which
	// is a second at least. A failover takes 3 to 5 s.
	DefaultAttempts = 12
	// DefaultAttemptTime is a little more than the front door waits for an answer.
	DefaultAttemptTime = 20 * time.Second
	// idleConnections are kept for each host.
	idleConnections = 256
	// defaultAnswerSize is far more than 10,000 raffles, which are 2 MB.
	defaultAnswerSize = 64 << 20
)

// An Option changes what New makes.
type Option func(*core)

// WithHTTPClient makes the client send its requests by a copy of h. A time-out of h does not end live feeds. Redirects are
// not followed.
func WithHTTPClient(h *http.Client) Option { return func(c *core) { c.http = h } }

// WithAttempts bounds how often a request is sent, and how often in a row a live feed may fail to open. 1 means no retry.
func WithAttempts(n int) Option { return func(c *core) { c.attempts = n } }

// WithAttemptTime bounds the time in which one attempt must be answered. It does not bound live feeds.
func WithAttemptTime(d time.Duration) Option { return func(c *core) { c.attemptTime = d } }

// WithoutReadYourWrites makes sessions read without the position of their last write. A read may then be answered sooner,
// from a state before the write.
func WithoutReadYourWrites() Option { return func(c *core) { c.forget = true } }

// WithTraceparent sets the header traceparent (W3C Trace Context) of each request. f returns its value for the context of the
// call. A request that is sent again has it, too. An empty value is not sent. With OpenTelemetry f can be
//
//	func(ctx context.Context) string {
//		carrier := propagation.MapCarrier{}
//		propagation.TraceContext{}.Inject(ctx, carrier)
//		return carrier["traceparent"]
//	}
func WithTraceparent(f func(context.Context) string) Option {
	return func(c *core) { c.traceparent = f }
}

// New makes a client of the system at base, which is scheme and authority, such as http://127.0.0.1:8080.
func New(base string, options ...Option) *Client {
	c := &core{base: strings.TrimSuffix(base, "/"), attempts: DefaultAttempts, attemptTime: DefaultAttemptTime,
		answerSize: defaultAnswerSize}
	for _, o := range options {
		o(c)
	}
	if c.http == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, idleConnections
		c.http = &http.Client{Transport: transport}
	}
	direct := *c.http
	// The API redirects nothing. To follow a redirect would turn a bid into a GET, or show a token to another server.
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &direct
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
// sent as JSON; header is a list of names and values. WithAttemptTime does not bound it; only ctx does. The error is the
// transport's, or says why nothing can be sent.
//
// If a kept connection ends before an answer, net/http sends the request once more, provided that it is a GET or has an
// Idempotency-Key.
func (c *Client) Send(ctx context.Context, method, target string, body []byte, header ...string) (Answer, error) {
	r, err := c.core.request(ctx, method, target, body, header...)
	if err != nil {
		return Answer{}, err
	}
	w, err := c.core.http.Do(r)
	if err != nil {
		return Answer{}, err
	}
	out, err := io.ReadAll(io.LimitReader(w.Body, c.core.answerSize+1))
	if closing := w.Body.Close(); err == nil {
		err = closing
	}
	if int64(len(out)) > c.core.answerSize {
		err = fmt.Errorf("%w: it is over %d bytes", errUnreadable, c.core.answerSize)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: read the answer: %w", method, target, err)
	}
	return Answer{w.StatusCode, w.Header, out}, nil
}

// request makes a request. It refuses what could never be sent.
func (c *core) request(ctx context.Context, method, target string, body []byte, header ...string) (*http.Request, error) {
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+target, in)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsendable, err)
	}
	if s := r.URL.Scheme; r.URL.Host == "" || s != "http" && s != "https" {
		return nil, fmt.Errorf("%w: %q is no address such as http://127.0.0.1:8080", errUnsendable, c.base)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.traceparent != nil {
		if parent := c.traceparent(ctx); parent != "" {
			header = append(header, "Traceparent", parent)
		}
	}
	for i := 0; i+1 < len(header); i += 2 {
		if strings.ContainsFunc(header[i+1], isControl) {
			return nil, fmt.Errorf("%w: the header %s has a control character", errUnsendable, header[i])
		}
		r.Header.Set(header[i], header[i+1])
	}
	return r, nil
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
