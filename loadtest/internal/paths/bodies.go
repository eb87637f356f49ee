package paths

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// getTime is more than a scan takes.
const getTime = 30 * time.Second

// get reads a target through a path, at a position or later ("" for any).
func (r *runner) get(ctx context.Context, target, path, lsn string) (client.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, getTime)
	defer cancel()
	header := []string{"Read-Path", path}
	if lsn != "" {
		header = append(header, "Min-LSN", lsn)
	}
	return r.door.Send(ctx, http.MethodGet, target, nil, header...)
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
		if len(compared) > 1 {
			c.Compared++
		}
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
	var first client.Answer
	for i, p := range paths {
		a, err := r.get(ctx, target, p, first.Header.Get("Read-LSN"))
		if err != nil {
			return "", err
		}
		if a.Status != http.StatusOK {
			return fmt.Sprintf("GET %s from %s: status %d", target, p, a.Status), nil
		}
		if i == 0 {
			first = a
		} else if !bytes.Equal(withoutCursor(first.Body), withoutCursor(a.Body)) {
			return fmt.Sprintf("GET %s: %s at %s and %s at %s", target, paths[0], first.Header.Get("Read-LSN"), p, a.Header.Get("Read-LSN")), nil
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
