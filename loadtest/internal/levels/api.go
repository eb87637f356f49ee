package levels

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// api is what a run asks the system beside its load.
type api struct {
	base   string
	client *http.Client
}

func newAPI(base string) api {
	return api{base: base, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
}

func (a api) do(ctx context.Context, method, path string, body io.Reader) (status int, answer []byte, err error) {
	w, err := a.send(ctx, method, path, body)
	if err != nil {
		return 0, nil, err
	}
	defer w.Body.Close()
	answer, err = io.ReadAll(w.Body)
	return w.StatusCode, answer, err
}

func (a api) send(ctx context.Context, method, path string, body io.Reader, header ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return a.client.Do(r)
}

func (a api) get(ctx context.Context, path string, into any) error {
	status, body, err := a.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: status %d: %s", path, status, body)
	}
	return json.Unmarshal(body, into)
}

// openRaffles returns the ids of all raffles that can be bid in.
func (a api) openRaffles(ctx context.Context) ([]int64, error) {
	var list struct {
		Raffles []struct {
			ID int64 `json:"id"`
		} `json:"raffles"`
	}
	if err := a.get(ctx, "/v1/raffles?status=open&limit=10000", &list); err != nil {
		return nil, fmt.Errorf("look for open raffles: %w", err)
	}
	if len(list.Raffles) == 0 {
		return nil, fmt.Errorf("%s has no open raffle: load the data set first", a.base)
	}
	ids := make([]int64, len(list.Raffles))
	for i, r := range list.Raffles {
		ids[i] = r.ID
	}
	return ids, nil
}

// lag returns the read model's lag in milliseconds.
func (a api) lag(ctx context.Context, raffle int64) (float64, error) {
	path := fmt.Sprintf("/v1/raffles/%d/bids?size=%d&limit=1", raffle, smallestSize)
	w, err := a.send(ctx, http.MethodGet, path, nil, "Read-Path", "redis")
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, w.Body)
	if closeErr := w.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil || w.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s %w", path, w.Status, err)
	}
	return strconv.ParseFloat(w.Header.Get("Read-Lag-Ms"), 64)
}
