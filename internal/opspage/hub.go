package opspage

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// Settings are what a service's environment says about its page; embed it.
type Settings struct {
	// Peers are the pages of the other services: public listeners of replicators, admin listeners of query.
	Peers Peers `env:"OPS_PEERS"`
	// Hosts are names by which a page may be asked for, besides addresses, localhost and names without a dot.
	Hosts []string `env:"OPS_HOSTS"`
}

// Options are what a service makes its page of.
type Options struct {
	Service, Instance string
	Plots             []Plot
	// Look reports what the service knows now, and a value for each series of the plots, in their order. It is called once
	// a second and must answer from memory. The hub fills in the fields that say whose report it is, and the events.
	Look  func(now time.Time) (Report, []Value)
	Peers Peers
	Guard Guard
	Log   *slog.Logger
	Now   func() time.Time // the wall clock of the service; nil: time.Now
}

// Hub takes a sample each second and sends it to all pages that are open.
type Hub struct {
	options Options
	peers   []*peer
	events  log
	page    page

	mu      sync.Mutex
	ring    *ring
	report  Report // the last one
	frame   []byte // the last one
	viewers map[*viewer]bool
	ended   bool
}

// maxViewers bounds the pages that are open at one service.
const maxViewers = 32

var errFull = errors.New("too many pages are open")

// viewer is an open page. frames has the next frames; it is closed if the viewer takes none for longer than a while, and
// when the service stops.
type viewer struct{ frames chan []byte }

// NewHub makes a hub, which works while Run does.
func NewHub(o Options) *Hub {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Instance = named(o.Instance)
	h := &Hub{options: o, peers: newPeers(o.Peers, time.Now()), ring: newRing(int(Kept / sampleEvery)), viewers: make(map[*viewer]bool),
		page: newPage(o.Service)}
	h.Tell(Started, o.Service)
	return h
}

// named is an address by which people find it: the host's name in place of "all addresses".
func named(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host != "" && (ip == nil || !ip.IsUnspecified()) {
		return address
	}
	if host, err = os.Hostname(); err != nil {
		return address
	}
	return net.JoinHostPort(host, port)
}

// Tell adds an event. The arguments are those of the kind's sentence.
func (h *Hub) Tell(kind Kind, args ...any) { h.events.tell(h.options.Now(), kind, args...) }

// Events are the last ones, oldest first.
func (h *Hub) Events() []Event { return h.events.all() }

// Run samples until ctx ends, and then ends all feeds.
func (h *Hub) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	for _, p := range h.peers {
		beside.Go(func() { p.listen(ctx, h.Tell) })
	}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		h.sample()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	h.end()
	beside.Wait()
	return nil
}

// sample looks, and sends what was seen to all viewers.
func (h *Hub) sample() {
	now := h.options.Now()
	report, values := h.options.Look(now)
	report = h.signed(report, now)
	f := frame{Own: report, Peers: make([]Peer, 0, len(h.peers)), Sample: Sample{At: report.At, Values: values}}
	for _, p := range h.peers {
		f.Peers = append(f.Peers, p.as(time.Now()))
	}
	text, err := encoded("now", f)
	if err != nil {
		h.options.Log.Error("the page of operators", "error", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring.add(f.Sample)
	h.report, h.frame = report, text
	for v := range h.viewers {
		select {
		case v.frames <- text:
		default:
			h.drop(v)
		}
	}
}

// signed fills in what the hub knows.
func (h *Hub) signed(r Report, now time.Time) Report {
	r.Service, r.Instance, r.At = h.options.Service, h.options.Instance, now.UnixMilli()
	r.Operable, r.Events = h.options.Guard.operable(), h.events.all()
	return r
}

// enter adds a viewer and returns what it is to be sent first: the history, and the last frame, so that it need not wait.
func (h *Hub) enter() (*viewer, []byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended || len(h.viewers) >= maxViewers {
		return nil, nil, errFull
	}
	past := h.ring.since(h.options.Now().Add(-Kept).UnixMilli())
	text, err := encoded("history", history{Plots: h.options.Plots, Minutes: int(Kept.Minutes()), Samples: past})
	if err != nil {
		return nil, nil, err
	}
	v := &viewer{frames: make(chan []byte, 5)}
	h.viewers[v] = true
	return v, append(text, h.frame...), nil
}

func (h *Hub) leave(v *viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(v)
}

func (h *Hub) drop(v *viewer) {
	if h.viewers[v] {
		delete(h.viewers, v)
		close(v.frames)
	}
}

func (h *Hub) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for v := range h.viewers {
		h.drop(v)
	}
}

// state is the last report.
func (h *Hub) state() Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.report
}

// encoded is an event of Server-Sent Events. JSON has no line breaks.
func encoded(name string, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(append([]byte("event: "+name+"\ndata: "), text...), "\n\n"...), nil
}
