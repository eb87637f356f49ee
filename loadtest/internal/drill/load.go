package drill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// sizes are those that the data set has, in mm.
var sizes = []int16{250, 255, 260, 265, 270, 275, 280, 285, 290, 295, 300}

// Rates says how much load a drill makes, per second.
type Rates struct{ Bids, Reads int }

const (
	requestTime = 5 * time.Second
	// Bounds of the generator. While the system stands still, further bids and reads are left out. All come from one
	// address, and with more connections than the front door gives to one address the generator would shut itself out.
	mostBids    = 600
	mostReads   = 400
	mostWaiting = 1500 * time.Millisecond // how long the load adds up
	// A bid that was not placed is sent again after a pause, which doubles.
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
	// mostLeftOut is the part of the load that a strict drill may leave out. More says that the machine is too slow for the load.
	mostLeftOut = 0.1
	// listLimit is the number of bids that a reader asks for.
	listLimit = 10
)

// load is the steady load of one drill.
type load struct {
	*set
	rates Rates
	book  *Book
	story *story

	bidding, reading gap // accepted bids, and plain reads
	followers        []*follower
	due, leftOut     atomic.Int64 // due counts bids and reads, leftOut the ones of them that were not sent
}

// run bids and reads until stop ends, and then until the outcome of each bid is known or ctx ends.
func (l *load) run(ctx, stop context.Context) {
	var work sync.WaitGroup
	now := time.Now()
	l.bidding.mark(now)
	l.reading.mark(now)
	work.Go(func() { l.pace(ctx, stop, "bid", l.rates.Bids, mostBids, &l.bidding, l.bid) })
	work.Go(func() { l.pace(ctx, stop, "read", l.rates.Reads, mostReads, &l.reading, l.read) })
	work.Wait()
}

// underWay is how many calls of a load may be under way: as many as fall due within mostWaiting, but not more than most.
func underWay(perSecond, most int) int {
	return min(most, max(1, int(mostWaiting*time.Duration(perSecond)/time.Second)))
}

// pace calls one in a goroutine of its own, so often a second, until stop ends, and waits for all of them. A call is
// left out while there are too many of them. Nothing is due after stop, so the last gap ends there.
func (l *load) pace(ctx, stop context.Context, kind string, perSecond, most int, between *gap, one func(context.Context)) {
	var work sync.WaitGroup
	places := make(chan struct{}, underWay(perSecond, most))
	every := time.Second / time.Duration(perSecond)
	for next := time.Now(); sleep.Until(stop, next) == nil; next = next.Add(every) {
		l.due.Add(1)
		select {
		case places <- struct{}{}:
			work.Go(func() {
				defer func() { <-places }()
				one(ctx)
			})
		default:
			l.leftOut.Add(1)
			l.story.count(kind+" left out", "as many as may be were under way")
		}
	}
	between.mark(time.Now())
	work.Wait()
}

// bid places a bid, and sends it again with its key until the outcome is known.
func (l *load) bid(ctx context.Context) {
	user := rand.IntN(len(l.bearers))
	e := l.book.add(l.raffles[rand.IntN(len(l.raffles))], sizes[rand.IntN(len(sizes))], user)
	body := fmt.Appendf(nil, `{"size":%d,"price":%d,"quantity":%d}`, e.Size, e.Price, e.Quantity)
	target := fmt.Sprintf("/v1/raffles/%d/bids", e.Raffle)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		e.Tries++
		sent := time.Now()
		a, err := l.request(ctx, requestTime, http.MethodPost, target, body, "Authorization", l.bearers[user], "Idempotency-Key", l.book.key(e.Serial))
		if ctx.Err() != nil {
			return
		}
		verdict := judgeBid(a, err)
		l.meters.bids.record(sent, verdict == placed)
		if l.settle(e, verdict, a, err) {
			return
		}
		if sleep.For(ctx, pause/2+rand.N(pause)) != nil {
			return
		}
	}
}

// settle notes what an attempt has shown, and says whether the outcome is known.
func (l *load) settle(e *Entry, verdict attempt, a client.Answer, err error) bool {
	switch verdict {
	case placed:
		l.story.count("bid 201", "")
		l.placed(e, a)
		return true
	case refused:
		l.story.fail(fmt.Sprintf("bid %d", a.Status), problemType(a))
		l.book.refuse(e, fmt.Sprintf("%d %s", a.Status, problemType(a)))
		return true
	case inDoubt:
		l.book.doubt(e)
		if err != nil {
			l.story.fail("bid without an answer", reason(err))
			return false
		}
		l.story.fail("bid perhaps done", fmt.Sprintf("%d %s", a.Status, problemType(a)))
	case notDone:
		l.story.fail("bid not done", fmt.Sprintf("%d %s", a.Status, problemType(a)))
	}
	return false
}

// request sends a request with a time-out.
func (l *load) request(ctx context.Context, within time.Duration, method, target string, body []byte, header ...string) (client.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return l.door.Send(ctx, method, target, body, header...)
}

// get reads at a position or later; at may be empty.
func (l *load) get(ctx context.Context, target, at string) (client.Answer, error) {
	if at == "" {
		return l.request(ctx, requestTime, http.MethodGet, target, nil)
	}
	return l.request(ctx, requestTime, http.MethodGet, target, nil, "Min-LSN", at)
}

// placed holds the 201 against what was asked for.
func (l *load) placed(e *Entry, a client.Answer) {
	verdict, shown, why := judgeRead(client.Answer{Status: http.StatusOK, Header: a.Header, Body: a.Body}, nil, nil, 0)
	if verdict != readOK {
		l.book.fault("a 201: " + why)
		return
	}
	id := shown[0].ID
	if want := (Bid{id, e.Raffle, e.Size, e.Price, e.Quantity}); shown[0] != want || id <= l.book.base {
		l.book.fault(fmt.Sprintf("a 201 shows %+v for %+v", shown[0], want))
	}
	l.book.acknowledge(e, id, a.Header.Get("Commit-LSN"), a.Header.Get("Idempotency-Replayed") == "true")
	l.bidding.mark(time.Now())
}

// read does one read. Of ten, six are plain lists. Four ask for a bid that was just acknowledged: three in a list, one
// alone, which only SQL answers.
func (l *load) read(ctx context.Context) {
	kind := rand.IntN(10)
	own, ok := l.book.pick()
	if kind < 6 || !ok {
		l.plain(ctx)
		return
	}
	target, limit := fmt.Sprintf("/v1/raffles/%d/bids?size=%d&limit=%d", own.Raffle, own.Size, listLimit), listLimit
	if kind == 9 {
		target, limit = fmt.Sprintf("/v1/raffles/%d/bids/%d", own.Raffle, own.ID), 1
	}
	sent := time.Now()
	a, err := l.get(ctx, target, own.LSN)
	l.judge(ctx, "own read", sent, a, err, &own.Bid, limit)
}

// plain reads a list without a position.
func (l *load) plain(ctx context.Context) {
	raffle, size := l.raffles[rand.IntN(len(l.raffles))], sizes[rand.IntN(len(sizes))]
	sent := time.Now()
	a, err := l.get(ctx, fmt.Sprintf("/v1/raffles/%d/bids?size=%d&limit=%d", raffle, size, listLimit), "")
	if l.judge(ctx, "read", sent, a, err, nil, listLimit) {
		l.reading.mark(time.Now())
		l.story.path(path(a))
	}
}

// judge counts an answer and says whether it is good.
func (l *load) judge(ctx context.Context, kind string, sent time.Time, a client.Answer, err error, want *Bid, limit int) bool {
	if ctx.Err() != nil {
		return false // the drill has ended
	}
	verdict, shown, why := judgeRead(a, err, want, limit)
	l.meters.reads.record(sent, verdict == readOK)
	l.book.show(path(a), time.Now(), shown...)
	switch verdict {
	case readOK:
		l.story.count(kind+" 200", "")
	case readFailed:
		l.story.fail(kind+" without an answer", why)
	case readRefused:
		l.story.fail(fmt.Sprintf("%s %d", kind, a.Status), why)
	case readLost, readWrong:
		l.story.fail(kind+" wrong", why)
		l.book.fault(kind + ": " + why)
	}
	return verdict == readOK
}
