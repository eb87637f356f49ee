package live

import (
	"context"
	"errors"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// Closing returns the event of a raffle's close, or nil if the raffle is open in a state that holds the position.
type Closing func(ctx context.Context, raffleID int64, holds lsn.Position) (*readmodel.Event, error)

// errClosed is returned behind the close of a raffle, which ends each of its feeds.
var errClosed = errors.New("the raffle is closed")

// settle asks whether the raffle is closed, in a state that holds all that the subscriber does not get. A close before
// the subscriber's position would never come, so settle is called when a feed begins and after each reset. After an
// error it is called again with the next chunk or heartbeat.
func (s *Subscription) settle(ctx context.Context) {
	h := s.hub
	if h.Closing == nil {
		s.unsure = false
		return
	}
	h.mu.Lock()
	at, timeline := h.now, h.timeline
	h.mu.Unlock()
	if s.node != nil && s.at.Epoch == at.Epoch && s.at.after(at) {
		at = s.at
	}
	var holds lsn.Position
	if at != (Position{}) {
		holds = at.minLSN(timeline)
	}
	end, err := h.Closing(ctx, s.room.raffle, holds)
	if err != nil {
		h.log.DebugContext(ctx, "whether a raffle is closed", "raffle_id", s.room.raffle, "error", err)
		return
	}
	s.unsure = false
	if end != nil {
		s.end, s.node = end, nil
	}
}

// rest returns the next chunk of a closed raffle's feed: what the stream has behind the subscriber's position, and at
// last the close.
func (s *Subscription) rest(ctx context.Context) (*chunk, error) {
	h := s.hub
	for {
		h.mu.Lock()
		now, timeline := h.now, h.timeline
		h.mu.Unlock()
		if (now == Position{}) {
			if err := s.pause(ctx); err != nil {
				return nil, err
			}
			continue
		}
		c := newChunk(now)
		if now.Epoch == s.at.Epoch {
			list, whole, err := h.missed(ctx, now.Epoch.Live(s.room.raffle), s.at.Event)
			if err != nil {
				h.log.DebugContext(ctx, "rest of a closed feed", "error", err)
				if err := s.pause(ctx); err != nil {
					return nil, err
				}
				continue
			}
			if whole {
				return s.lastPage(list, timeline), nil
			}
		}
		c.addReset(s.room.raffle, now, timeline)
		return c, nil
	}
}

// lastPage makes a chunk of a page of a closed raffle's stream. If the page is the last one and has no close, the
// subscriber had it before, or begins behind it, so it is added.
func (s *Subscription) lastPage(list []entry, timeline uint32) *chunk {
	c := newChunk(s.at)
	c.addEntries(s.room.raffle, s.at.Epoch, timeline, list, s.hub.data)
	if len(list) < pageEntries && !c.has(nameClose) {
		e := *s.end
		e.ID = c.last.Event
		c.add(s.room.raffle, c.last.Epoch, &e, s.hub.data)
	}
	return c
}
