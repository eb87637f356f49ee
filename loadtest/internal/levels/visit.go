package levels

import (
	"fmt"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
)

// bidShare is how many of a hundred visits end with a bid.
const bidShare = 50

// longestThink bounds a pause, in means.
const longestThink = 5

// visit is one iteration of the scenario. A user logs in before its first iteration, and again before its token expires.
func visit(w *shared) engine.Scenario {
	return func(u *engine.User) error {
		if !w.accounts[u.ID-w.firstUser].good(time.Now()) && !w.logIn(u) {
			return nil // recorded; the next iteration tries again
		}
		raffle := w.raffle(u)
		order := [...]string{"newest", "highest"}[u.Rand.IntN(2)]
		for _, look := range []struct{ step, path string }{
			{"list", listPath},
			{"raffle", w.rafflePath(raffle)},
			{"bids", fmt.Sprintf("/v1/raffles/%d/bids?size=%d&order=%s", raffle, size(u), order)},
		} {
			if get(u, look.step, look.path); !w.think(u) {
				return nil
			}
		}
		if u.Rand.IntN(100) < bidShare {
			if err := w.bidOn(u, raffle); err != nil {
				return err
			}
			get(u, "list", listPath)
		}
		w.think(u)
		return nil
	}
}

// think pauses for an exponentially distributed time, because people act at any moment and seldom after a long pause.
func (w *shared) think(u *engine.User) bool {
	if w.plan.Think == 0 {
		return u.Running()
	}
	pause := time.Duration(u.Rand.ExpFloat64() * float64(w.plan.Think))
	return u.Pause(min(pause, longestThink*w.plan.Think))
}

func (w *shared) logIn(u *engine.User) bool {
	r := u.Prepare(http.MethodPost, "/v1/login")
	r.Header.SetContentType("application/json")
	r.SetBody(credentials(w.login(u.ID)))
	if u.Do("login", isOK) != nil || !isOK(u.Response) {
		u.Pause(retryAfter(u.Response))
		return false
	}
	token, err := parseToken(u.Response.Body())
	if err != nil {
		return false // the service's own bids fail for it
	}
	w.accounts[u.ID-w.firstUser], err = newAccount(token)
	return err == nil
}
