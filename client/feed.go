package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// EventKind says what an Event tells.
type EventKind string

// The kinds of events.
const (
	// EventStart comes each time the feed is opened: what is committed from there on is sent, and a read AtLeast(MinLSN)
	// shows what came before.
	EventStart EventKind = "start"
	// EventBid is a new bid, EventCancel a cancelled bid.
	EventBid    EventKind = "bid"
	EventCancel EventKind = "cancel"
	// EventClose is the close of the raffle, the last event.
	EventClose EventKind = "close"
	// EventReset says that events may be missing: read again, AtLeast(MinLSN). Events may be repeated from there on.
	EventReset EventKind = "reset"
)

// Event is an event of a live feed.
type Event struct {
	Kind EventKind
	// ID continues the feed behind the event (FeedOptions.After).
	ID string
	// Bid is that of EventBid and EventCancel.
	Bid Bid
	// MinLSN is that of EventStart and EventReset.
	MinLSN Position
	// ClosedAt and ClosingPrice are those of EventClose. Without bids there is no price.
	ClosedAt     time.Time
	ClosingPrice *int64
}

// FeedOptions choose the events of a feed. The zero value means all from now on.
type FeedOptions struct {
	// Size, if it is not 0, leaves out bids of other sizes.
	Size int
	// After is the ID of the last event of an earlier feed.
	After string
	// Cut, if it is not nil, is told why the feed was cut off each time before it is opened again.
	Cut func(error)
}

// Follow returns what happens to a raffle, in the order of the commits, each event once. If the feed is cut off, it is
// opened again behind the last event, as often as it takes. It ends after EventClose, and with an error if ctx ends, if
// the system refuses it for good, if an event can't be read, or if it can't be opened as often in a row as WithAttempts says.
func (c *Client) Follow(ctx context.Context, raffleID int64, o FeedOptions) iter.Seq2[Event, error] {
	target := rafflePath(raffleID) + "/live"
	if query := parameters("size", number(o.Size)); len(query) > 0 {
		target += "?" + query.Encode()
	}
	return func(yield func(Event, error) bool) {
		f := &feed{core: c.core, target: target, last: o.After, pause: firstReopening, cut: o.Cut, yield: yield}
		if err := f.follow(ctx); !errors.Is(err, errOver) {
			yield(Event{}, fmt.Errorf("follow raffle %d: %w", raffleID, err))
		}
	}
}

const (
	firstReopening = time.Second // until the server has said when a feed is opened again
	// feedSilence is more than the time between two heartbeats of a feed, 15 s.
	feedSilence = 40 * time.Second
)

var (
	errOver   = errors.New("the feed is over")
	errSilent = errors.New("no heartbeat came")
)

// feed is followed by one caller.
type feed struct {
	core   *core
	target string
	last   string // the id behind which the feed is opened again
	pause  time.Duration
	cut    func(error)
	yield  func(Event, error) bool
	came   bool // an event, since the feed was opened
}

// follow opens the feed again and again. It returns errOver after the close, and if the caller wants no more.
func (f *feed) follow(ctx context.Context) error {
	for failed := 1; ; failed++ {
		f.came = false
		err := f.open(ctx)
		if errors.Is(err, errOver) || final(err) {
			return err
		}
		if f.came {
			failed = 0
		}
		pause := f.pause
		if p, refused := errors.AsType[*Problem](err); refused {
			if p.Status != http.StatusTooManyRequests && p.Status < http.StatusInternalServerError {
				return err
			}
			pause = max(pause, p.RetryAfter)
		}
		if failed >= f.core.attempts || ctx.Err() != nil {
			return err
		}
		if f.cut != nil {
			f.cut(err)
		}
		if ended := sleep.For(ctx, pause); ended != nil {
			return fmt.Errorf("%w; before that: %w", ended, err)
		}
	}
}

// open opens the feed once and reads to its end.
func (f *feed) open(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(feedSilence, func() { cancel(errSilent) })
	defer alarm.Stop()
	header := []string{"Accept", "text/event-stream"}
	if f.last != "" {
		header = append(header, "Last-Event-ID", f.last)
	}
	r, err := f.core.request(ctx, http.MethodGet, f.target, nil, header...)
	if err != nil {
		return err
	}
	endless := *f.core.http
	endless.Timeout = 0
	w, err := endless.Do(r)
	if err != nil {
		return cause(ctx, err)
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(w.Body, f.core.answerSize))
		if err != nil {
			return cause(ctx, err)
		}
		return problemOf(Answer{w.StatusCode, w.Header, body})
	}
	err = readMessages(w.Body, func(m message) error {
		alarm.Stop() // the caller may take its time
		defer alarm.Reset(feedSilence)
		return f.take(m)
	})
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return cause(ctx, err)
}

// cause is why ctx has ended, or else err.
func cause(ctx context.Context, err error) error {
	if ended := context.Cause(ctx); ended != nil && !errors.Is(err, errOver) {
		return ended
	}
	return err
}

// take hands a message to the caller. Kinds of events that are not known here are left out.
func (f *feed) take(m message) error {
	if m.retry > 0 {
		f.pause = m.retry
	}
	if m.data != "" {
		e, err := eventOf(m)
		if err != nil {
			return err
		}
		f.came = true
		if e.Kind != "" && !f.yield(e, nil) {
			return errOver
		}
		if e.Kind == EventClose {
			return errOver
		}
	}
	if m.id != "" {
		f.last = m.id
	}
	return nil
}

func eventOf(m message) (e Event, err error) {
	var data any
	var at struct {
		MinLSN Position `json:"min_lsn"`
	}
	var end struct {
		ClosedAt time.Time `json:"closed_at"`
		Price    *int64    `json:"closing_price"`
	}
	switch kind := EventKind(m.name); kind {
	case EventBid, EventCancel:
		data = &e.Bid
	case EventStart, EventReset:
		data = &at
	case EventClose:
		data = &end
	default:
		return Event{}, nil
	}
	if err := json.Unmarshal([]byte(m.data), data); err != nil {
		return Event{}, fmt.Errorf("event %s: %w: %w in %.100q", m.name, errUnreadable, err, m.data)
	}
	e.Kind, e.ID, e.MinLSN, e.ClosedAt, e.ClosingPrice = EventKind(m.name), m.id, at.MinLSN, end.ClosedAt, end.Price
	return e, nil
}
