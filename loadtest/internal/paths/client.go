package paths

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// client reads apart from the measurement.
type client struct {
	base string
	http *http.Client
}

func newClient(base string) client {
	return client{base: base, http: &http.Client{Timeout: 20 * time.Second}}
}

func (c client) close() { c.http.CloseIdleConnections() }

type answer struct {
	status    int
	body      []byte
	path, lsn string
}

func (c client) get(ctx context.Context, target, path, minLSN string) (a answer, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+target, nil)
	if err != nil {
		return a, err
	}
	if path != "" {
		r.Header.Set("Read-Path", path)
	}
	if minLSN != "" {
		r.Header.Set("Min-LSN", minLSN)
	}
	w, err := c.http.Do(r)
	if err != nil {
		return a, err
	}
	defer w.Body.Close()
	a = answer{status: w.StatusCode, path: w.Header.Get("Read-Path"), lsn: w.Header.Get("Read-LSN")}
	a.body, err = io.ReadAll(w.Body)
	return a, err
}

// raffles returns the ids of all raffles.
func (c client) raffles(ctx context.Context) (ids []int64, err error) {
	const target = "/v1/raffles?status=all&limit=10000"
	a, err := c.get(ctx, target, "", "")
	if err != nil {
		return nil, err
	}
	var list struct {
		Raffles []struct {
			ID int64 `json:"id"`
		} `json:"raffles"`
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("GET %s: status %d: %s", target, a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return nil, fmt.Errorf("GET %s: %w", target, err)
	}
	for _, r := range list.Raffles {
		ids = append(ids, r.ID)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s has no raffles: load the data set first", c.base)
	}
	return ids, nil
}

// compareTries is how often a key is read again if the bodies differ: somebody may be bidding.
const compareTries = 5

// sameBodies reads every warm key through every path and compares the bytes. That also warms the keys.
func (r *runner) sameBodies(ctx context.Context, l lookup, paths []string, c *report.PathComparison) error {
	indexed := make([]string, 0, len(paths))
	for _, p := range paths {
		if p != Scan {
			indexed = append(indexed, p)
		}
	}
	for i, k := range l.warm {
		compared := indexed
		if i == 0 {
			compared = paths // a scan takes too long to compare more than one
		}
		difference, err := r.differ(ctx, l.target(k), compared)
		if err != nil {
			return err
		}
		c.Compared++
		if difference != "" {
			c.Different++
			c.Sample = difference
		}
	}
	return nil
}

func (r *runner) differ(ctx context.Context, target string, paths []string) (difference string, err error) {
	for range compareTries {
		if difference, err = r.differOnce(ctx, target, paths); err != nil || difference == "" {
			return difference, err
		}
	}
	return difference, nil
}

// differOnce asks each path for at least the position that the first answered at.
func (r *runner) differOnce(ctx context.Context, target string, paths []string) (string, error) {
	var first answer
	for i, p := range paths {
		a, err := r.client.get(ctx, target, p, first.lsn)
		if err != nil {
			return "", err
		}
		if a.status != http.StatusOK {
			return fmt.Sprintf("GET %s from %s: status %d", target, p, a.status), nil
		}
		if i == 0 {
			first = a
		} else if !bytes.Equal(withoutCursor(first.body), withoutCursor(a.body)) {
			return fmt.Sprintf("GET %s: %s at %s and %s at %s", target, paths[0], first.lsn, p, a.lsn), nil
		}
	}
	return "", nil
}

// withoutCursor cuts next_cursor off, which holds a position and comes last.
func withoutCursor(body []byte) []byte {
	if i := bytes.LastIndex(body, []byte(`"next_cursor"`)); i >= 0 {
		return body[:i]
	}
	return body
}
