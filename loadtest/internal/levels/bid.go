package levels

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/reconcile"
)

const (
	stepBid = "bid"
	// firstRetry is the pause before a bid without an answer is sent again; it doubles up to lastRetry.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 2 * time.Second
	// maxRetryAfter bounds what a server can ask for.
	maxRetryAfter = 10 * time.Second
)

func (w *shared) bid(u *engine.User) error { return w.bidOn(u, w.raffle(u)) }

// bidOn places one bid under a key of its own, and sends it again with the same key until the outcome is known,
// the patience is exhausted or the run ends. The user's wish is the bid, so its latency counts to the 201. The outcome
// goes to the journal. If the journal fails, the run ends.
func (w *shared) bidOn(u *engine.User, raffle int64) error {
	account := w.account(u)
	if !account.good(time.Now()) && !w.logIn(u) {
		return nil // recorded; a run may be longer than a token is valid
	}
	e := reconcile.Entry{Serial: w.journal.Next(), State: reconcile.Refused, Raffle: uint32(raffle), User: account.id,
		Size: int16(size(u)), Price: uint32(1000 * (1 + u.Rand.IntN(500))), Quantity: uint16(1 + u.Rand.IntN(3))}
	w.fill(u, account.bearer, e)
	wish := u.Wish(stepBid)
	until, pause := time.Now().Add(w.plan.Patience), firstRetry
	for {
		err := wish.Attempt(created)
		if !judge(&e, err, u.Response) || time.Now().After(until) {
			break
		}
		if err == nil {
			pause = max(pause, retryAfter(u.Response))
		}
		// So that not all users retry at the same moment.
		if !u.Pause(pause + time.Duration(u.Rand.Int64N(int64(pause)/2))) {
			until = u.Rest(min(pause, lastRetry)) // the run is over, and the bid gets one attempt more
		}
		pause = min(2*pause, lastRetry)
		e.Retries += min(1, 255-e.Retries)
	}
	if w.plan.Raffle > 0 && u.Response.StatusCode() == http.StatusConflict {
		account.over = true
		wish.As(stepLate).Granted() // a refusal is the right answer once the raffle is closed
	} else {
		end(wish, e, u.Response)
	}
	if account.own = (reconcile.Entry{}); e.State == reconcile.Acknowledged {
		account.own = e
		account.see(u.Response, "Commit-LSN")
	}
	return w.journal.Add(e)
}

// end says how the wish ended.
func end(wish engine.Wish, e reconcile.Entry, r *fasthttp.Response) {
	detail := func() string { return fmt.Sprintf("status %d %s", r.StatusCode(), r.Body()) }
	switch e.State {
	case reconcile.Acknowledged:
		wish.Granted()
	case reconcile.Unknown:
		wish.Failed("the outcome stayed unknown", detail)
	default:
		wish.Failed(fmt.Sprintf("refused with status %d", r.StatusCode()), detail)
	}
}

func created(r *fasthttp.Response) bool { return r.StatusCode() == http.StatusCreated }

// judge notes what an answer says about the bid and returns whether to ask again. If the outcome of one attempt
// is in doubt, a later refusal does not settle it.
func judge(e *reconcile.Entry, err error, r *fasthttp.Response) (again bool) {
	switch status := r.StatusCode(); {
	case err != nil:
		e.State = reconcile.Unknown
		return true
	case status == http.StatusCreated:
		e.State = reconcile.Unknown
		if e.Answered(r.Header.Peek("Location"), r.Body()) {
			e.State = reconcile.Acknowledged
		}
		return false
	case status == http.StatusTooManyRequests:
		return true
	case status >= http.StatusInternalServerError, status == http.StatusRequestTimeout:
		e.State = reconcile.Unknown // an answer that was lost after the commit is a 503 too
		return true
	}
	return false
}

// retryAfter is what the server asks for; 0 if nothing.
func retryAfter(r *fasthttp.Response) time.Duration {
	n, err := strconv.Atoi(string(r.Header.Peek("Retry-After")))
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}

// fill makes the request of an entry's bid.
func (w *shared) fill(u *engine.User, bearer string, e reconcile.Entry) {
	var buffer [128]byte
	path := strconv.AppendUint(append(buffer[:0], "/v1/raffles/"...), uint64(e.Raffle), 10)
	r := u.Prepare(http.MethodPost, string(append(path, "/bids"...)))
	r.Header.SetContentType("application/json")
	r.Header.Set("Authorization", bearer)
	r.Header.SetBytesV("Idempotency-Key", w.journal.AppendKey(buffer[:0], e.Serial))
	r.SetBody(fmt.Appendf(buffer[:0], `{"size":%d,"price":%d,"quantity":%d}`, e.Size, e.Price, e.Quantity))
}

func size(u *engine.User) int {
	return dataset.SmallestSize + dataset.SizeStep*u.Rand.IntN(dataset.SizeCount)
}
