package live

import (
	"slices"
	"sync"
)

// view holds the events of a chunk for the subscribers of one size, or of all sizes.
type view struct {
	events []event
	text   []byte // the SSE frames one after the other

	pack    sync.Once
	packets [][]byte // of socket.io, made when the first client wants them
}

// pick makes the view of a size.
func (c *chunk) pick(size int16) *view {
	v := &view{}
	for _, f := range c.events {
		if f.size != 0 && f.size != size {
			continue
		}
		moved := int32(len(v.text)) - f.begin
		v.text = append(v.text, c.text[f.begin:f.end]...)
		f.begin, f.end, f.data = f.begin+moved, f.end+moved, f.data+moved
		v.events = append(v.events, f)
	}
	return v
}

// after returns the part of the view that is new to a subscriber at a position. A reset, a close and the events behind
// them are new to every subscriber.
func (v *view) after(at Position) part {
	first := slices.IndexFunc(v.events, func(f event) bool { return f.name == nameReset || f.name == nameClose || f.id.after(at) })
	if first < 0 {
		return part{}
	}
	return part{v, v.events[first:]}
}

// part is the end of a view.
type part struct {
	of     *view
	events []event
}

// frames are the SSE frames of the part.
func (p part) frames() []byte {
	if len(p.events) == 0 {
		return nil
	}
	return p.of.text[p.events[0].begin:]
}

// resets is how many resets are in the part.
func (p part) resets() (n int) {
	for i := range p.events {
		if p.events[i].name == nameReset {
			n++
		}
	}
	return n
}

// closes says whether the part has the raffle's close.
func (p part) closes() bool {
	return slices.ContainsFunc(p.events, func(f event) bool { return f.name == nameClose })
}

// packets are the socket.io packets of the part. The packets of a whole view are made once.
func (p part) packets() [][]byte {
	if len(p.events) == 0 {
		return nil
	}
	if len(p.events) < len(p.of.events) {
		return packets(p.of, p.events)
	}
	p.of.pack.Do(func() { p.of.packets = packets(p.of, p.of.events) })
	return p.of.packets
}

func (v *view) json(f *event) []byte { return v.text[f.data : int(f.end)-len(frameEnd)] }

// packets packs events for engine.io and socket.io: type MESSAGE, type EVENT, namespace, and a JSON array of the
// event's name and arguments. The arguments are the data and the id behind which a client resumes. Successive bids
// become one bidList.
func packets(v *view, list []event) (out [][]byte) {
	const head = "42" + Namespace + `,["`
	for len(list) > 0 {
		n := 1
		text := append([]byte(head), list[0].name...)
		if list[0].name == nameBid {
			text = append([]byte(head), `bidList",[`...)
			text = append(text, v.json(&list[0])...)
			for ; n < len(list) && list[n].name == nameBid; n++ {
				text = append(append(text, ','), v.json(&list[n])...)
			}
			text = append(text, ']')
		} else {
			text = append(append(text, `",`...), v.json(&list[0])...)
		}
		text = list[n-1].id.append(append(text, `,"`...))
		out = append(out, append(text, `"]`...))
		list = list[n:]
	}
	return out
}
