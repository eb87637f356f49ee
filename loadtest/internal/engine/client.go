package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"
)

// The HTTP clients. ClientNet costs about twice as much as ClientFast. It speaks HTTP/2 if TLS offers it, and
// serves to check ClientFast.
const (
	ClientFast = "fasthttp"
	ClientNet  = "nethttp"
)

// maxBody is the largest answer that is kept in memory.
const maxBody = 64 << 20

// idleTime is less than the 60 s after which the front door closes an idle connection, so that no request meets that.
const idleTime = 50 * time.Second

// doer sends one request and reads the answer.
type doer interface {
	Do(*fasthttp.Request, *fasthttp.Response) error
}

// dialer opens a connection, as net.DialTimeout does.
type dialer func(network, addr string, timeout time.Duration) (net.Conn, error)

// newClient makes a client with at most conns connections.
func newClient(c Config, conns int, dial dialer) (client doer, closeIdle func()) {
	if c.Client == ClientNet {
		n := newNetClient(c, conns, dial)
		return n, n.client.CloseIdleConnections
	}
	f := &fasthttp.HostClient{
		ReadTimeout: c.Timeout, WriteTimeout: c.Timeout,
		Addr: c.Addr, IsTLS: c.TLS, MaxConns: conns, MaxIdleConnDuration: idleTime,
		Dial: func(addr string) (net.Conn, error) { return dial("tcp", addr, c.Timeout) },
		// Without retries, because a bid that the client sent twice would be the generator's own fault.
		MaxIdemponentCallAttempts: 1,
		RetryIfErr:                func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
		NoDefaultUserAgentHeader:  true,
		DisablePathNormalizing:    true,
		ReadBufferSize:            4096, WriteBufferSize: 4096,
		StreamResponseBody: c.DropBodies,
	}
	if !c.DropBodies {
		f.MaxResponseBodySize = maxBody
	}
	return f, f.CloseIdleConnections
}

// drain reads a streamed body to its end, so that its connection can be used again.
func drain(r *fasthttp.Response) error {
	if !r.IsBodyStream() {
		return nil
	}
	_, err := io.Copy(io.Discard, r.BodyStream())
	return errors.Join(err, r.CloseBodyStream())
}

// netClient lets net/http carry fasthttp's requests.
type netClient struct {
	client http.Client
	base   string // scheme and authority
	drop   bool
}

func newNetClient(c Config, conns int, dial dialer) *netClient {
	base := "http://" + c.Addr
	if c.TLS {
		base = "https://" + c.Addr
	}
	return &netClient{base: base, drop: c.DropBodies, client: http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{MaxIdleConnsPerHost: conns, MaxIdleConns: conns, IdleConnTimeout: idleTime,
			DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
				return dial(network, addr, c.Timeout)
			},
			ForceAttemptHTTP2: true, DisableCompression: true},
	}}
}

// Do is never repeated by net/http: a bid has a body that can't be read twice, and net/http sends a request on
// a closed connection again only if it has no body or a body that can be read again.
func (n *netClient) Do(from *fasthttp.Request, to *fasthttp.Response) error {
	var body io.Reader
	if len(from.Body()) > 0 {
		body = io.MultiReader(bytes.NewReader(from.Body())) // hides that it could be read again
	}
	r, err := http.NewRequest(string(from.Header.Method()), n.base+string(from.URI().RequestURI()), body)
	if err != nil {
		return err
	}
	r.ContentLength = int64(len(from.Body()))
	for name, value := range from.Header.All() {
		if key := string(name); key != "Host" && key != "Content-Length" {
			r.Header.Add(key, string(value))
		}
	}
	w, err := n.client.Do(r)
	if err != nil {
		return err
	}
	return errors.Join(n.copy(to, w), w.Body.Close())
}

func (n *netClient) copy(to *fasthttp.Response, w *http.Response) error {
	to.SetStatusCode(w.StatusCode)
	for name, values := range w.Header {
		for _, v := range values {
			to.Header.Add(name, v)
		}
	}
	if n.drop {
		_, err := io.Copy(io.Discard, w.Body)
		return err
	}
	kept, err := io.ReadAll(io.LimitReader(w.Body, maxBody+1))
	if len(kept) > maxBody {
		return fasthttp.ErrBodyTooLarge
	}
	to.SetBody(kept)
	return err
}
