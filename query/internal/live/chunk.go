package live

import (
	"slices"
	"strconv"

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

// event is an event as its subscribers get it: parts of its chunk's text.
type event struct {
	name       string
	id         Position
	size       int16 // mm; 0: it concerns every size
	at         int64 // created_at of a bid in microseconds, else 0
	begin, end int32 // the SSE frame
	data       int32 // where its JSON begins; it ends frameEnd before the frame's end
}

const frameEnd = "\n\n"

// chunk is what the subscribers of a raffle get at once, made once for all of them. Chunks are a list that
// grows at one end; whoever stands on a chunk has had it. What nobody stands on any more is garbage.
type chunk struct {
	events []event
	text   []byte
	last   Position // behind the chunk
	total  int64    // bytes of all chunks up to this one

	next  *chunk // set before ready is closed
	ready chan struct{}
}

func newChunk(last Position) *chunk { return &chunk{last: last, ready: make(chan struct{})} }

// addEntries frames the events of entries of the raffle's stream.
func (c *chunk) addEntries(raffleID int64, epoch readmodel.Epoch, list []entry, data AppendData) error {
	for _, e := range list {
		if !(Position{epoch, e.id}).after(c.last) {
			continue
		}
		events, err := readmodel.ParseEvents(raffleID, e.id, []byte(e.packed))
		if err != nil {
			return err
		}
		for i := range events {
			c.add(raffleID, epoch, &events[i], data)
		}
	}
	return nil
}

// add frames an event. A position before the chunk's end is refused: a replay repeats events.
func (c *chunk) add(raffleID int64, epoch readmodel.Epoch, e *readmodel.Event, data AppendData) {
	f := event{id: Position{epoch, e.ID}}
	if !f.id.after(c.last) {
		return
	}
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

// addReset tells subscribers to read again, and from where on the feed goes on.
func (c *chunk) addReset(raffleID int64, at Position, timeline uint32) {
	c.place(nameReset, raffleID, at, timeline)
}

// place frames an event that says from which position on the feed goes.
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

func (c *chunk) json(f *event) []byte { return c.text[f.data : int(f.end)-len(frameEnd)] }

func (c *chunk) resets() bool {
	return slices.ContainsFunc(c.events, func(f event) bool { return f.name == nameReset })
}

// wanted is the part of the chunk that a subscriber at a position has not had and that concerns its size
// (0: any). After a reset everything is new, wherever the subscriber was.
func (c *chunk) wanted(at Position, size int16) []event {
	first := slices.IndexFunc(c.events, func(f event) bool { return f.name == nameReset || f.id.after(at) })
	if first < 0 {
		return nil
	}
	fresh := c.events[first:]
	if size == 0 {
		return fresh
	}
	return slices.DeleteFunc(slices.Clone(fresh), func(f event) bool { return f.size != 0 && f.size != size })
}
