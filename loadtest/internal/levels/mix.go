package levels

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/reconcile"
)

// Mixed is the level whose requests are drawn from the plan's mix.
var Mixed = Level{
	ID: "mix", Title: "a mix of one's own", Purpose: "Each user draws what it does next from --mix: bid, list, raffle, bids, mine and cancel, each as often as its number says.",
	Defaults: Plan{VUsers: 100, Duration: time.Minute}, steady: 1, writes: true, raffles: true, scenario: mixed,
}

// Mix is how often each action is drawn, relative to the others.
type Mix map[string]float64

// actions are what can be in a mix. Each is a step of that name.
var actions = map[string]func(*shared, *engine.User) error{
	stepBid:  (*shared).bid,
	"cancel": (*shared).cancel,
	"list": func(w *shared, u *engine.User) error {
		w.get(u, "list", listPath, nil)
		return nil
	},
	"raffle": func(w *shared, u *engine.User) error {
		w.get(u, "raffle", w.rafflePath(w.raffle(u)), nil)
		return nil
	},
	"bids": func(w *shared, u *engine.User) error {
		order := reconcile.Order(u.Rand.IntN(2))
		w.get(u, "bids", fmt.Sprintf("/v1/raffles/%d/bids?size=%d&order=%s", w.raffle(u), size(u), order), order.Sorted)
		return nil
	},
	"mine": func(w *shared, u *engine.User) error {
		w.get(u, "mine", minePath, nil)
		return nil
	},
}

// ParseMix reads "bid=1,list=2.5".
func ParseMix(text string) (Mix, error) {
	m := make(Mix)
	for pair := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(pair, "=")
		share, err := strconv.ParseFloat(number, 64)
		if actions[name] == nil || err != nil || !(share > 0) || m[name] != 0 {
			return nil, fmt.Errorf("%q is not ACTION=NUMBER, with each action once, of %s", pair, strings.Join(slices.Sorted(maps.Keys(actions)), ", "))
		}
		m[name] = share
	}
	return m, nil
}

// String is what ParseMix reads.
func (m Mix) String() string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, fmt.Sprintf("%s=%g", name, m[name]))
	}
	return strings.Join(pairs, ",")
}

// check says whether the level of that name goes with the mix.
func (m Mix) check(level string) error {
	switch {
	case (level == Mixed.ID) != (len(m) > 0):
		return errors.New("the level mix needs --mix, and no other level has one")
	case m[stepBid] == 0 && m["cancel"]+m["mine"] > 0:
		return errors.New("cancel and mine need a bid in the mix")
	}
	return nil
}

// of is the level as the plan has it: a mix without bids writes nothing.
func (l Level) of(p Plan) Level {
	if l.ID == Mixed.ID {
		l.steps = slices.Sorted(maps.Keys(p.Mix))
		l.writes = p.Mix[stepBid] > 0
	}
	return l
}

func mixed(w *shared) engine.Scenario {
	names := slices.Sorted(maps.Keys(w.plan.Mix))
	total := 0.0
	for _, name := range names {
		total += w.plan.Mix[name]
	}
	return func(u *engine.User) error {
		at := u.Rand.Float64() * total
		for _, name := range names {
			if at -= w.plan.Mix[name]; at < 0 || name == names[len(names)-1] {
				if err := actions[name](w, u); err != nil {
					return err
				}
				break
			}
		}
		w.think(u)
		return nil
	}
}

// cancel takes the user's last bid back, or places one if there is none.
func (w *shared) cancel(u *engine.User) error {
	a := w.account(u)
	own := a.own
	if own.ID == 0 {
		return w.bid(u)
	}
	a.own = reconcile.Entry{}
	r := u.Prepare(http.MethodDelete, fmt.Sprintf("/v1/raffles/%d/bids/%d", own.Raffle, own.ID))
	r.Header.Set("Authorization", a.bearer)
	err := u.Do("cancel", func(w *fasthttp.Response) bool { return w.StatusCode() == http.StatusNoContent })
	switch status := u.Response.StatusCode(); {
	case err != nil, status >= http.StatusInternalServerError:
		own.State = reconcile.PerhapsCancelled
	case status == http.StatusNoContent:
		own.State = reconcile.Cancelled
		a.see(u.Response, "Commit-LSN")
	default:
		return nil // the answer says that nothing was done
	}
	return w.journal.Add(own)
}
