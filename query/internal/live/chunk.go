package live

import (
	"slices"
	"strconv"
	"sync"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// AppendData appends the JSON of an event of a raffle: a bid, or a close.
type AppendData func(dst []byte, raffleID int64, e *readmodel.Event) []byte

// The names of events, as clients see them.
const (
	nameBid    = "bid"
	nameCancel = "cancel"
	nameClose  = "close"
	nameReset  = "reset"
	nameStart  = "start" // of a feed, over SSE only
)

// event says where an event lies in the text of its view.
type event struct {
	name       string
	id         Position
	size       int16 // mm; 0: it concerns every size
	at         int64 // created_at of a bid in microseconds, otherwise 0
	begin, end int32 // the SSE frame
	data       int32 // where its JSON begins; it ends before frameEnd
}

const frameEnd = "\n\n"

// chunk holds events that all subscribers of a raffle get at once. It is made once for all of them. Chunks form a
// list that grows at one end. A subscriber holds the chunk that it has sent last, and the room holds the oldest chunk
// that it keeps. The garbage collector frees the chunks before all of these.
type chunk struct {
	view           // of all sizes
	last  Position // behind the chunk's events
	total int64    // bytes of all chunks up to this one

	mu     sync.Mutex
	bySize map[int16]*view // each made for the first subscriber of the size

	next  *chunk // set before ready is closed
	ready chan struct{}
}

func newChunk(last Position) *chunk { return &chunk{last: last, ready: make(chan struct{})} }

// addEntries frames the events of entries of the raffle's stream. It skips events up to the chunk's last position,
// because an entry may repeat events: after a replay, or when a subscriber resumes in the middle of an entry. An
// entry that can't be read becomes a reset to the position behind it, so that the feed goes on; unreadable counts
// such entries.
func (c *chunk) addEntries(raffleID int64, epoch readmodel.Epoch, timeline uint32, list []entry, data AppendData) (unreadable int) {
	for _, e := range list {
		at := Position{epoch, e.id}
		if !at.after(c.last) {
			continue
		}
		events, err := readmodel.ParseEvents(raffleID, e.id, []byte(e.packed))
		if err != nil {
			unreadable++
			c.addReset(raffleID, at, timeline)
		}
		for i := range events {
			switch id := (Position{epoch, events[i].ID}); {
			case !id.after(c.last):
			case events[i].Kind == readmodel.EventReset:
				c.addReset(raffleID, id, timeline)
			case events[i].Kind.Known():
				c.add(raffleID, epoch, &events[i], data)
			}
		}
		c.last = at // even if this build knows none of the entry's kinds of events
	}
	return unreadable
}

// add frames an event.
func (c *chunk) add(raffleID int64, epoch readmodel.Epoch, e *readmodel.Event, data AppendData) {
	f := event{id: Position{epoch, e.ID}}
	switch e.Kind {
	case readmodel.EventBid:
		f.name, f.size, f.at = nameBid, e.Bid.Size, e.Bid.CreatedAt
	case readmodel.EventCancel:
		f.name, f.size = nameCancel, e.Bid.Size
	case readmodel.EventClose:
		f.name = nameClose
	}
	c.frame(f, func(dst []byte) []byte { return data(dst, raffleID, e) })
}

// addReset adds an event that tells subscribers to read the raffle again, and behind which position the feed goes on.
func (c *chunk) addReset(raffleID int64, at Position, timeline uint32) {
	c.place(nameReset, raffleID, at, timeline)
}

// place frames a reset or a start, which tells the position behind which the feed goes on.
func (c *chunk) place(name string, raffleID int64, at Position, timeline uint32) {
	c.frame(event{name: name, id: at}, func(dst []byte) []byte {
		dst = strconv.AppendInt(append(dst, `{"raffle_id":`...), raffleID, 10)
		dst = at.minLSN(timeline).Append(append(dst, `,"min_lsn":"`...))
		return append(dst, `"}`...)
	})
}

// frame appends an event in the form of the HTML standard, section Server-sent events.
func (c *chunk) frame(f event, data func([]byte) []byte) {
	f.begin = int32(len(c.text))
	c.text = append(append(c.text, "event: "...), f.name...)
	c.text = f.id.append(append(c.text, "\nid: "...))
	c.text = append(c.text, "\ndata: "...)
	f.data = int32(len(c.text))
	c.text = append(data(c.text), frameEnd...)
	f.end = int32(len(c.text))
	c.events = append(c.events, f)
	c.last = f.id
}

func (c *chunk) has(name string) bool {
	return slices.ContainsFunc(c.events, func(f event) bool { return f.name == name })
}

// of is the view of a size (mm; 0: any), made once for all subscribers of it.
func (c *chunk) of(size int16) *view {
	if size == 0 {
		return &c.view
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.bySize[size]
	if v == nil {
		v = c.pick(size)
		if c.bySize == nil {
			c.bySize = make(map[int16]*view)
		}
		c.bySize[size] = v
	}
	return v
}
