// Package frontdoor asks the front door, apart from any load, for what several parts of the load tests need.
package frontdoor

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
)

const (
	// connections is more than any caller has requests under way.
	connections = 2048
	// dialTime bounds the making of a connection.
	dialTime = 3 * time.Second
)

// New makes a client that sends each request at most so many times. It asks for no compressed answers, because to make them
// would cost processor time of the machine that is tried.
//
// The load itself uses fasthttp, whose requests cost some 25 µs less than those of net/http. Few requests of a load test go
// through this client, so the difference does not matter. In the drills all requests do, up to 1,800 a second: there it is 5 %
// of a processor.
func New(url string, attempts int) *client.Client {
	return client.New(url, client.WithAttempts(attempts), client.WithHTTPClient(&http.Client{Transport: transport()}))
}

func transport() *http.Transport {
	return &http.Transport{DialContext: (&net.Dialer{Timeout: dialTime}).DialContext, DisableCompression: true,
		MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute}
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
