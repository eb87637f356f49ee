package levels

import (
	"fmt"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/reconcile"
)

// bidShare is how many of a hundred visits end with a bid.
const bidShare = 50

// longestThink bounds a pause, in means.
const longestThink = 5

// visit is one iteration of the scenario. A user logs in before its first iteration, and again before its token expires.
func visit(w *shared) engine.Scenario {
	return func(u *engine.User) error {
		if !w.account(u).good(time.Now()) && !w.logIn(u) {
			return nil // recorded; the next iteration tries again
		}
		raffle := w.raffle(u)
		order := reconcile.Order(u.Rand.IntN(2))
		for _, look := range []struct {
			step, path string
			right      func([]byte) bool
		}{
			{"list", listPath, nil},
			{"raffle", w.rafflePath(raffle), nil},
			{"bids", fmt.Sprintf("/v1/raffles/%d/bids?size=%d&order=%s", raffle, size(u), order), order.Sorted},
		} {
			if w.get(u, look.step, look.path, look.right); !w.think(u) {
				return nil
			}
		}
		if u.Rand.IntN(100) < bidShare {
			if err := w.bidOn(u, raffle); err != nil {
				return err
			}
			w.lookForOwn(u)
			w.get(u, "list", listPath, nil)
		}
		w.think(u)
		return nil
	}
}

// get reads at the user's position or later, and moves it on: the user must never be shown an earlier state than before
// (R2, monotonic reads and read your writes). right, if not nil, judges the body. Failures are recorded and end nothing. A
// further step counts which path answered.
func (w *shared) get(u *engine.User, step, path string, right func(body []byte) bool) {
	seen := &w.account(u).seen
	r := u.Prepare(http.MethodGet, path)
	if bearer := w.account(u).bearer; bearer != "" && path == minePath {
		r.Header.Set("Authorization", bearer)
	}
	if seen.LSN > 0 {
		r.Header.Set("Min-LSN", seen.String())
	}
	// A position of another timeline can't be compared here; the service does that.
	err := u.Do(step, func(w *fasthttp.Response) bool {
		at, err := lsn.ParsePosition(string(w.Header.Peek("Read-LSN")))
		return isOK(w) && err == nil && (at.Timeline != seen.Timeline || at.LSN >= seen.LSN) && (right == nil || right(w.Body()))
	})
	if err != nil || !isOK(u.Response) {
		return
	}
	u.Again(step + ", from " + string(u.Response.Header.Peek("Read-Path")))
	w.account(u).see(u.Response, "Read-LSN")
}

// minePath is the only reading that needs a login.
const minePath = "/v1/me/bids"

// account is the user's own.
func (w *shared) account(u *engine.User) *account { return &w.accounts[u.ID-w.firstUser] }

// lookForOwn reads the newest bids of the user's last acknowledged bid, which must be among them, unless all that are shown
// are newer (R2).
func (w *shared) lookForOwn(u *engine.User) {
	own := w.account(u).own
	if own.ID == 0 {
		return
	}
	w.get(u, "own bid", fmt.Sprintf("/v1/raffles/%d/bids?size=%d&order=newest", own.Raffle, own.Size), own.ShownByNewest)
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
	var fresh account
	err := u.Do("login", func(r *fasthttp.Response) bool {
		token, err := parseToken(r.Body())
		if err == nil {
			fresh, err = newAccount(token)
		}
		return isOK(r) && err == nil
	})
	if err != nil || fresh.bearer == "" {
		u.Pause(max(firstRetry, retryAfter(u.Response)))
		return false
	}
	a := w.account(u)
	a.bearer, a.id, a.expires = fresh.bearer, fresh.id, fresh.expires
	return true
}
