package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// CommitAnswer is how PostgreSQL reports a COMMIT: the message CommandComplete
// (https://www.postgresql.org/docs/15/protocol-message-formats.html).
const CommitAnswer = "C\x00\x00\x00\x0bCOMMIT\x00"

// Proxy is a TCP proxy in the test process that makes the way to a server slow or breaks it. It forwards no
// half-closed connection: when one side ends, the other side gets the data under way and is closed too.
type Proxy struct {
	addr string
	work sync.WaitGroup

	mu                 sync.Mutex
	listener           net.Listener
	accepting          chan struct{} // closed when the listener's last accept has ended
	target             string
	toServer, toClient time.Duration
	rate               float64 // bytes per second to the server; 0: any
	busyUntil          time.Time
	sent               int64
	match              []byte
	cutsLeft, cutsDone int
	links              map[*link]struct{}
	hole               chan struct{} // while the proxy is a black hole; closed when that ends
	ended              bool
}

// link is a client's connection and the one to the server that belongs to it.
type link struct {
	client, server net.Conn
	once           sync.Once
	gone           chan struct{}
}

// cut closes both ends. Errors are dropped, because one side may be closed already.
func (k *link) cut() {
	k.once.Do(func() {
		close(k.gone)
		_ = k.client.Close()
		_ = k.server.Close()
	})
}

// StartProxy starts a proxy to the target, host:port. It lives until the end of the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{addr: fmt.Sprintf("127.0.0.1:%d", FreePort(t)), target: target, links: make(map[*link]struct{})}
	p.Refuse(t, false)
	t.Cleanup(func() {
		p.Refuse(t, true)
		p.BlackHole(false)
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		p.Cut()
		p.work.Wait()
	})
	return p
}

// Addr is the proxy's own address, host:port.
func (p *Proxy) Addr() string { return p.addr }

// URL changes a connection string of the target so that it leads through the proxy.
func (p *Proxy) URL(target string) string { return strings.Replace(target, p.Target(), p.addr, 1) }

// Target is where new connections are led to, host:port.
func (p *Proxy) Target() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

// SetTarget leads new connections elsewhere. Open connections stay.
func (p *Proxy) SetTarget(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// SetDelay delays all that is read from now on, in each direction, so that a round trip takes longer by the sum
// of both. It does not limit the rate: data that were sent together arrive together.
func (p *Proxy) SetDelay(toServer, toClient time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.toServer, p.toClient = toServer, toClient
}

// SetRate bounds the bytes per second to the server, over all connections, which take turns. It stands for a
// server whose work grows with the bytes that it is sent. 0: no bound.
func (p *Proxy) SetRate(bytesPerSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate, p.busyUntil = bytesPerSecond, time.Time{}
}

// Sent is the number of bytes that clients have sent so far.
func (p *Proxy) Sent() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// Cut closes all connections that are open now. Refuse keeps new ones away.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.links {
		k.cut()
	}
}

// BlackHole makes the proxy forward nothing, or ends that. As in a network that drops every packet, neither
// side learns anything: connections stay open, new ones are not answered, and the end of a connection does not
// reach the other side. Data sent meanwhile arrive when the black hole ends, as TCP retransmits them.
func (p *Proxy) BlackHole(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.hole == nil:
		p.hole = make(chan struct{})
	case !on && p.hole != nil:
		close(p.hole)
		p.hole = nil
	}
}

// passable is closed when the proxy forwards.
func (p *Proxy) passable() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hole == nil {
		return always
	}
	return p.hole
}

var always = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// pass waits while the proxy is a black hole. It returns false if the link was cut meanwhile.
func (p *Proxy) pass(k *link) bool {
	select {
	case <-p.passable():
		return true
	case <-k.gone:
		return false
	}
}

// CutBeforeAnswer cuts the next n connections in which the server's answers hold match, such as
// CommitAnswer: the server has done its work, and the client never sees match whole.
func (p *Proxy) CutBeforeAnswer(match []byte, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.match, p.cutsLeft = bytes.Clone(match), n
}

// Cuts is how many connections CutBeforeAnswer has cut so far.
func (p *Proxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cutsDone
}

// Refuse makes the kernel refuse new connections, or ends that. Open connections stay. Without a target that
// listens, new connections are taken and closed.
func (p *Proxy) Refuse(t testing.TB, refuse bool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if refuse == (p.listener == nil) {
		return
	}
	if refuse {
		if err := p.listener.Close(); err != nil {
			t.Fatalf("proxy: %v", err)
		}
		<-p.accepting // an accept in progress keeps the socket open
		p.listener = nil
		return
	}
	var l net.Listener
	// A child of the test keeps a copy of the socket that was closed until it executes its program.
	EventuallyNoError(t, startBudget, "the proxy listens", func() (err error) {
		l, err = net.Listen("tcp4", p.addr)
		return err
	})
	p.listener, p.accepting = l, make(chan struct{})
	ended := p.accepting
	p.work.Go(func() { defer close(ended); p.accept(l) })
}

func (p *Proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // closed by Refuse
		}
		p.work.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	<-p.passable()
	server, err := net.DialTimeout("tcp", p.Target(), startBudget)
	if err != nil {
		_ = client.Close() // all that a client can see of it
		return
	}
	k := &link{client: client, server: server, gone: make(chan struct{})}
	defer k.cut()
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	p.links[k] = struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.forward(k, client, server, p.request) })
	both.Go(func() { p.forward(k, server, client, p.answers()) })
	both.Wait()
	p.mu.Lock()
	delete(p.links, k)
	p.mu.Unlock()
}

// errCut says that the connection is to be cut instead of forwarding.
var errCut = errors.New("cut")

// request decides when data of a client are forwarded.
func (p *Proxy) request(data []byte) (due time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent += int64(len(data))
	due = time.Now()
	if p.rate > 0 {
		cost := time.Duration(float64(len(data)) / p.rate * float64(time.Second))
		if p.busyUntil.Before(due) {
			p.busyUntil = due
		}
		p.busyUntil = p.busyUntil.Add(cost)
		due = p.busyUntil
	}
	return due.Add(p.toServer), nil
}

// answers is like request, for the data that the server of one connection sends. It keeps the end of the last
// data, because a match may come in pieces.
func (p *Proxy) answers() func(data []byte) (time.Time, error) {
	var end []byte
	return func(data []byte) (time.Time, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.cutsLeft > 0 {
			seen := slices.Concat(end, data)
			if bytes.Contains(seen, p.match) {
				p.cutsLeft--
				p.cutsDone++
				return time.Time{}, errCut
			}
			end = seen[max(0, len(seen)-len(p.match)+1):]
		}
		return time.Now().Add(p.toClient), nil
	}
}
