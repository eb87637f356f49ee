package levels

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/reconcile"
)

const (
	stepBid = "POST bid"
	// firstRetry is the pause before a bid without an answer is sent again; it doubles up to lastRetry.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 2 * time.Second
	// maxRetryAfter bounds what a server can ask for.
	maxRetryAfter = 10 * time.Second
)

func (w *shared) bid(u *engine.User, bearer string) error { return w.bidOn(u, bearer, w.raffle(u)) }

// bidOn places one bid under a key of its own, and sends it again with the same key until the outcome is known,
// the patience is exhausted or the run ends. The outcome goes to the journal. If the journal fails, the run
// ends.
func (w *shared) bidOn(u *engine.User, bearer string, raffle int64) error {
	e := reconcile.Entry{Serial: w.journal.Next(), Raffle: uint32(raffle), Size: int16(size(u)), State: reconcile.Refused}
	w.fill(u, bearer, e)
	until, pause := time.Now().Add(w.plan.Patience), firstRetry
	for {
		err := u.Do(stepBid, created)
		if !judge(&e, err, u.Response) || time.Now().After(until) {
			break
		}
		if err == nil {
			pause = max(pause, retryAfter(u.Response))
		}
		// So that not all users retry at the same moment.
		if !u.Pause(pause + time.Duration(u.Rand.Int64N(int64(pause)/2))) {
			break
		}
		pause = min(2*pause, lastRetry)
		e.Retries += min(1, 255-e.Retries)
	}
	return w.journal.Add(e)
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
		if e.ID = bidID(r.Header.Peek("Location")); e.ID == 0 {
			e.State = reconcile.Unknown
			return false
		}
		e.State = reconcile.Acknowledged
		return false
	case status == http.StatusTooManyRequests:
		return true
	case status >= http.StatusInternalServerError, status == http.StatusRequestTimeout:
		e.State = reconcile.Unknown // an answer that was lost after the commit is a 503 too
		return true
	}
	return false
}

// bidID reads the last part of a Location; 0 if that is not an id.
func bidID(location []byte) int64 {
	id, err := strconv.ParseInt(string(location[bytes.LastIndexByte(location, '/')+1:]), 10, 64)
	if err != nil || id < 1 {
		return 0
	}
	return id
}

// retryAfter is what the server asks for; 0 if nothing.
func retryAfter(r *fasthttp.Response) time.Duration {
	n, err := strconv.Atoi(string(r.Header.Peek("Retry-After")))
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}

// fill makes the request of an entry's bid, with a random price.
func (w *shared) fill(u *engine.User, bearer string, e reconcile.Entry) {
	var buffer [128]byte
	path := strconv.AppendUint(append(buffer[:0], "/v1/raffles/"...), uint64(e.Raffle), 10)
	r := u.Prepare(http.MethodPost, string(append(path, "/bids"...)))
	r.Header.SetContentType("application/json")
	r.Header.Set("Authorization", bearer)
	r.Header.SetBytesV("Idempotency-Key", w.journal.AppendKey(buffer[:0], e.Serial))
	body := strconv.AppendInt(append(buffer[:0], `{"size":`...), int64(e.Size), 10)
	body = strconv.AppendInt(append(body, `,"price":`...), int64(1000*(1+u.Rand.IntN(500))), 10)
	r.SetBody(append(body, '}'))
}

// The sizes of the data set, in mm.
const (
	smallestSize = 250
	sizeStep     = 5
	sizeCount    = 11
)

func size(u *engine.User) int { return smallestSize + sizeStep*u.Rand.IntN(sizeCount) }
