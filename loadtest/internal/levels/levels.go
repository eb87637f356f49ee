// Package levels holds the load levels: what each does to the system and what it is to show. A Runner makes the load of a
// level, alone or as one of several agents; Execute judges the whole.
package levels

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
)

// Level is one of the load levels. Defaults is its full size, with the full data set.
type Level struct {
	ID       string
	Title    string
	Purpose  string
	Defaults Plan

	writes     bool // needs tokens and a journal
	raffles    bool // needs the open raffles
	dropBodies bool
	steady     int      // requests in an iteration, 0 if that differs
	steps      []string // that must be in the result
	closes     bool     // it has a raffle of its own, which is closed halfway
	scenario   func(*shared) engine.Scenario
}

// All are the levels in their order.
var All = []Level{
	{
		ID: "1", Title: "static page", Purpose: "The front door alone: HAProxy serves /static.html from memory, no service is asked.",
		Defaults: Plan{VUsers: 500, Duration: 30 * time.Second}, steady: 1,
		scenario: func(*shared) engine.Scenario { return getter("GET /static.html", "/static.html") },
		steps:    []string{"GET /static.html"},
	},
	{
		ID: "2", Title: "hello world", Purpose: "What a request costs that does nothing: through HAProxy to the query service and back.",
		Defaults: Plan{VUsers: 500, Duration: 30 * time.Second}, steady: 1,
		scenario: func(*shared) engine.Scenario { return getter("GET /hello", "/hello") },
		steps:    []string{"GET /hello"},
	},
	{
		ID: "3", Title: "read only", Purpose: "The list of all raffles (up to 10,000), from the database (pgpool-II, replica) and from Redis by turns: what the read model saves.",
		Defaults: Plan{VUsers: 16, Duration: 30 * time.Second}, steady: 1, dropBodies: true, scenario: lists,
		steps: []string{"raffles from redis", "raffles from replica"},
	},
	{
		ID: "4", Title: "write only", Purpose: "Everybody bids at once, 6,000 users 1,000 times each in full, every bid with a key of its own; afterwards none may be lost or doubled, in Postgres or in Redis.",
		Defaults: Plan{VUsers: 6000, Iterations: 1000, RampUp: 5 * time.Second, MaxDuration: 2 * time.Hour}, steady: 1, writes: true, raffles: true, scenario: bids,
		steps: []string{stepBid},
	},
	{
		ID: "5", Title: "read and write", Purpose: "Three groups at once: one bids, one lists raffles, one looks at single raffles: whether writes slow reads down, and the other way round.",
		Defaults: Plan{VUsers: 600, Duration: time.Minute, RampUp: time.Second}, steady: 1, writes: true, raffles: true, scenario: groups,
		steps: []string{stepBid, "list", "raffle"},
	},
	{
		ID: "6", Title: "scenario", Purpose: "What people do in a drop: log in, list, look at a raffle and its bids of a size, bid (or not), list again, with pauses of random length.",
		Defaults: Plan{VUsers: 500, Duration: time.Minute, RampUp: 20 * time.Second, Think: time.Second}, writes: true, raffles: true, scenario: visit,
		steps: []string{"login", "list", "raffle", "bids", stepBid, "own bid"},
	},
	{
		ID: "7", Title: "the drop", Purpose: "6,000 people come within a second for one raffle, which others follow live and which is closed in the middle: no bid after the close, the right price, and everybody sees everything once.",
		Defaults: Plan{VUsers: 6000, Duration: 30 * time.Second, RampUp: time.Second, Think: time.Second}, writes: true, closes: true, scenario: rush,
		steps: []string{stepBid, "raffle"},
	},
}

// Find returns the level of a number, or Mixed.
func Find(id string) (Level, error) {
	for _, l := range append(All[:len(All):len(All)], Mixed) {
		if l.ID == id {
			return l, nil
		}
	}
	return Level{}, fmt.Errorf("there is no level %q: want 1 to %d, or %s", id, len(All), Mixed.ID)
}

func isOK(w *fasthttp.Response) bool { return w.StatusCode() == http.StatusOK }

// getter asks for one path again and again; the request is made once.
func getter(step, path string) engine.Scenario {
	return func(u *engine.User) error {
		if u.Iteration == 0 {
			u.Prepare(http.MethodGet, path)
		}
		_ = u.Do(step, isOK) // recorded as a failure
		return nil
	}
}

// lists alternates between the paths, so that both see the same moments.
func lists(*shared) engine.Scenario {
	paths := [...]string{"redis", "replica"}
	return func(u *engine.User) error {
		path := paths[(u.Iteration+u.ID)%len(paths)]
		u.Prepare(http.MethodGet, "/v1/raffles?status=all&limit=10000").Header.Set("Read-Path", path)
		_ = u.Do("raffles from "+path, func(w *fasthttp.Response) bool { // recorded as a failure
			return isOK(w) && string(w.Header.Peek("Read-Path")) == path
		})
		return nil
	}
}

func bids(w *shared) engine.Scenario { return w.bid }

// groups gives each user one task. In the open model, in which any free user takes an arrival, it gives each
// arrival one task.
func groups(w *shared) engine.Scenario {
	return func(u *engine.User) error {
		n := u.ID
		if w.plan.open() {
			n = int(u.Arrival)
		}
		return actions[[]string{stepBid, "list", "raffle"}[n%3]](w, u)
	}
}

const listPath = "/v1/raffles?status=open&limit=50"

func (w *shared) rafflePath(id int64) string { return "/v1/raffles/" + strconv.FormatInt(id, 10) }
