// Package frontdoor asks the system through its public API, apart from any load. Before a load it asks for the
// raffles, and afterwards for the outcome.
package frontdoor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Client asks one system. It is safe for concurrent use.
type Client struct {
	base string // scheme and authority
	http *http.Client
}

// New makes a client; base is scheme and authority.
func New(base string) *Client {
	return &Client{base: base, http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
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

// Do sends a request; header is a list of names and values. A body is said to be JSON. The error is the
// transport's.
func (c *Client) Do(ctx context.Context, method, target string, body []byte, header ...string) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+target, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w, err := c.http.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer w.Body.Close()
	a := Answer{Status: w.StatusCode, Header: w.Header}
	if a.Body, err = io.ReadAll(w.Body); err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", method, target, err)
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
