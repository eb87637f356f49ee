// Package frontdoor asks the front door, apart from any load, for what several parts of the load tests need.
package frontdoor

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
)

// connections is more than any caller has requests under way.
const connections = 2048

// New makes a client that sends a request at most so often. It takes no compressed answers, because they would cost
// processor time of the machine that is tried. A request by net/http costs some 25 µs more than one by the fasthttp of the
// load: nothing beside the load, because few requests are not part of it, and 5 % of a processor in the drills that make 1,800
// requests a second.
func New(url string, attempts int) *client.Client {
	return client.New(url, client.WithAttempts(attempts), client.WithHTTPClient(&http.Client{Transport: &http.Transport{
		DisableCompression: true, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute}}))
}

// Raffles returns the ids of the raffles that are open, closed or all, at most 10,000. It is an error if there are none.
func Raffles(ctx context.Context, door *client.Client, status string) ([]int64, error) {
	page, err := door.Raffles(ctx, client.RaffleFilter{Status: status, Limit: 10_000})
	if err != nil {
		return nil, err
	}
	if len(page.Items) == 0 {
		return nil, fmt.Errorf("%s has no raffles (%s): load the data set first", door.Base(), status)
	}
	ids := make([]int64, len(page.Items))
	for i, r := range page.Items {
		ids[i] = r.ID
	}
	return ids, nil
}
