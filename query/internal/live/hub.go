package live

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/clock"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// Errors of subscriptions and sessions.
var (
	// ErrFull is returned if there are as many subscribers or sessions as Bounds allow, and to a new session once the
	// hub has ended.
	ErrFull = errors.New("too many subscribers")
	// ErrEnded is returned when the hub ends or drains.
	ErrEnded = errors.New("the feed ends")
	// ErrSlow is returned to a subscriber that is too far behind.
	ErrSlow = errors.New("subscriber too slow")
)

// Hub reads the streams of all raffles that have subscribers, with one connection and one goroutine, and
// hands what it reads to all of them.
type Hub struct {
	// Clock is compared with the times of bids. It is set before Run.
	Clock clock.Clock
	// Closing says whether a raffle is closed, which ends its feeds. It is set before Run.
	Closing Closing

	client   *redis.Client
	data     AppendData
	bounds   Bounds
	log      *slog.Logger
	metrics  *metrics
	resuming chan struct{} // a place for each subscriber that reads missed events
	ended    chan struct{}
	exits    *exits // all closed when the hub has ended

	mu          sync.Mutex
	now         Position // that of the last checkpoint; zero while the feed does not work
	timeline    uint32   // of the last checkpoint
	rooms       map[int64]*room
	subscribers census
}

// resumes is how many subscribers may read missed events from Redis at the same time.
const resumes = 16

// NewHub makes a hub; Run does its work. The client must not retry. data encodes events.
func NewHub(client *redis.Client, data AppendData, bounds Bounds, log *slog.Logger, reg prometheus.Registerer) *Hub {
	return &Hub{client: client, data: data, bounds: bounds, log: log, metrics: newMetrics(reg), resuming: make(chan struct{}, resumes),
		ended: make(chan struct{}), exits: newExits(), rooms: make(map[int64]*room), subscribers: newCensus(bounds)}
}

// How the hub reads. A blocked read does not see rooms that are added meanwhile, so it is short. The pause bounds how
// many reads a second a busy system causes.
const (
	longestBlock = 50 * time.Millisecond
	readPause    = 5 * time.Millisecond
	failPause    = 100 * time.Millisecond
	redisTime    = 500 * time.Millisecond
)

// Run reads until ctx ends; then all subscriptions end.
func (h *Hub) Run(ctx context.Context) error {
	defer h.exits.close(exitsInAll)
	defer close(h.ended)
	for ctx.Err() == nil {
		start := time.Now()
		block := h.publish(start)
		pause := readPause
		if err := h.read(ctx, block); err != nil && ctx.Err() == nil {
			h.fail(err)
			pause = failPause
		}
		_ = sleep.Until(ctx, start.Add(pause)) // the loop sees the end
	}
	return nil
}

// publish publishes the pending chunks that are due and returns how long the next read may block.
func (h *Hub) publish(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	block := longestBlock
	for _, r := range h.rooms {
		if due := r.publish(now); !due.IsZero() {
			block = min(block, due.Sub(now))
		}
	}
	// Redis takes the time in milliseconds, and 0 means for ever.
	return max(block, time.Millisecond)
}

// fail notes that events may be missed from now on, so that the next checkpoint makes serve check every room.
func (h *Hub) fail(err error) {
	h.mu.Lock()
	worked := h.now != Position{}
	h.now = Position{}
	h.mu.Unlock()
	if worked {
		h.log.Warn("live feed interrupted", "error", err)
	}
}

// read waits for events in all rooms, and reads the checkpoint in the same round trip.
func (h *Hub) read(ctx context.Context, block time.Duration) error {
	epoch, rooms, streams := h.plan()
	if len(rooms) == 0 {
		_ = sleep.For(ctx, block) // the loop sees the end
	}
	reading, cancel := context.WithTimeout(ctx, block+redisTime)
	defer cancel()
	pipe := h.client.Pipeline()
	get := pipe.Get(reading, readmodel.CheckpointKey)
	var events *redis.XStreamSliceCmd
	if len(rooms) > 0 {
		events = pipe.XRead(reading, &redis.XReadArgs{Streams: streams, Block: block, Count: readmodel.LiveEntries})
	}
	// Both commands answer redis.Nil if there is nothing to return, so each command's own error is looked at.
	if _, err := pipe.Exec(reading); err != nil && !errors.Is(err, redis.Nil) {
		if redis.HasErrorPrefix(err, wrongType) {
			return h.setApart(ctx, rooms)
		}
		return err
	}
	checkpoint, err := readmodel.ParseCheckpoint(get.Val())
	if err := errors.Join(get.Err(), err); err != nil {
		return err
	}
	if err := h.serve(ctx, Position{checkpoint.Epoch, readmodel.EventID{LSN: checkpoint.LSN}}, checkpoint.Timeline); err != nil || events == nil || checkpoint.Epoch != epoch {
		return err
	}
	return h.take(ctx, epoch, rooms, events.Val())
}

// plan returns the rooms to read by key, and their keys and ids as XREAD takes them. It leaves out the rooms of
// another epoch and the rooms that are set apart.
func (h *Hub) plan() (epoch readmodel.Epoch, rooms map[string]*room, streams []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	epoch, rooms = h.now.Epoch, make(map[string]*room, len(h.rooms))
	var ids []string
	for _, r := range h.rooms {
		if at := r.pending.last; at.Epoch == epoch && epoch != 0 && r.unreadable.IsZero() {
			key := epoch.Live(r.raffle)
			rooms[key] = r
			streams, ids = append(streams, key), append(ids, at.Event.String())
		}
	}
	return epoch, rooms, append(streams, ids...)
}

// serve takes a checkpoint. A room whose stream does not hold all events after the room's position is reset to the
// checkpoint.
func (h *Hub) serve(ctx context.Context, at Position, timeline uint32) error {
	h.mu.Lock()
	interrupted := h.now.Epoch != at.Epoch
	h.timeline = timeline
	var doubtful []*room
	for _, r := range h.rooms {
		if interrupted || r.pending.last.Epoch != at.Epoch || !r.unreadable.IsZero() && time.Since(r.unreadable) > retryUnreadable {
			doubtful = append(doubtful, r)
		}
	}
	h.mu.Unlock()
	for _, r := range doubtful {
		if err := h.check(ctx, r, at); err != nil {
			return err
		}
	}
	h.mu.Lock()
	h.now = at
	h.mu.Unlock()
	if interrupted {
		h.log.Info("live feed works", "epoch", uint64(at.Epoch), "lsn", at.Event.LSN.String())
	}
	return nil
}

// check resets a room to the position now unless its stream still holds all events after the room's own position. A
// room whose key is no stream is set apart for later, so that it does not hold up the other rooms.
func (h *Hub) check(ctx context.Context, r *room, now Position) error {
	h.mu.Lock()
	last := r.pending.last
	h.mu.Unlock()
	whole := false
	if last.Epoch == now.Epoch {
		// Each room has a time-out of its own, because after an interruption there may be thousands of rooms to
		// check.
		ctx, cancel := context.WithTimeout(ctx, redisTime)
		defer cancel()
		var err error
		_, whole, err = readPage(ctx, h.client, now.Epoch.Live(r.raffle), last.Event)
		if redis.HasErrorPrefix(err, wrongType) {
			h.setRoomApart(r)
			return nil
		}
		if err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !whole {
		r.pending.addReset(r.raffle, now, h.timeline)
	}
	r.unreadable = time.Time{}
	return nil
}

// take hands entries to their rooms. A stream keeps at least readmodel.LiveEntries entries, and as many are
// asked for. An answer with fewer entries therefore has missed none.
func (h *Hub) take(ctx context.Context, epoch readmodel.Epoch, rooms map[string]*room, streams []redis.XStream) error {
	for _, s := range streams {
		r := rooms[s.Stream]
		list, err := entries(s.Messages)
		if err != nil {
			return err // an id that Redis does not make
		}
		if len(list) >= readmodel.LiveEntries {
			last := list[len(list)-1].id
			if err := h.check(ctx, r, Position{epoch, last}); err != nil {
				return err
			}
		}
		h.mu.Lock()
		before := len(r.pending.events)
		unreadable := r.pending.addEntries(r.raffle, epoch, h.timeline, list, h.data)
		h.metrics.events.Add(float64(len(r.pending.events) - before - unreadable))
		h.mu.Unlock()
		if unreadable > 0 {
			h.metrics.unreadable.Add(float64(unreadable))
			h.log.Error("entries of a live stream can't be read: its feed is reset", "raffle_id", r.raffle, "entries", unreadable)
		}
	}
	return nil
}

// A key that is no stream fails the read of all rooms. Its room is set apart and checked again after retryUnreadable.
const (
	wrongType       = "WRONGTYPE"
	retryUnreadable = time.Second
)

// setApart finds the rooms whose key is no stream and leaves them out of the next reads.
func (h *Hub) setApart(ctx context.Context, rooms map[string]*room) error {
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	pipe := h.client.Pipeline()
	types := make(map[*room]*redis.StatusCmd, len(rooms))
	for key, r := range rooms {
		types[r] = pipe.Type(ctx, key)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for r, is := range types {
		if is.Val() != "stream" && is.Val() != "none" {
			h.setRoomApart(r)
		}
	}
	return nil
}

func (h *Hub) setRoomApart(r *room) {
	h.mu.Lock()
	fresh := r.unreadable.IsZero()
	r.unreadable = time.Now()
	h.mu.Unlock()
	if fresh {
		h.metrics.unreadable.Inc()
		h.log.Error("a live stream can't be read: its feed waits", "raffle_id", r.raffle)
	}
}

func (h *Hub) presentTimeline() uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.timeline
}
