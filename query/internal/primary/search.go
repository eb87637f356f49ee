package primary

import (
	"context"
	"time"
)

const (
	// After one host has answered that it takes writes, the others have this long to say that they are on a higher
	// timeline. A slower one is found by the later search for a newer primary.
	othersTime = 100 * time.Millisecond
	// A round waits only so long for a host that has not answered the last attempt. The attempt goes on, and a later
	// round takes its answer.
	silentTime = 20 * time.Millisecond
)

// search asks hosts for the primary, in rounds. Only one goroutine may use it at a time.
type search struct {
	probes  []*probe
	answers chan answer
	round   int
}

// probe is a host with at most one attempt under way.
type probe struct {
	host   host
	asking bool
	begun  int  // the round in which the attempt began
	silent bool // the last attempt has ended without an answer
}

type answer struct {
	probe *probe
	node  node
}

func newSearch(list []host) search {
	s := search{answers: make(chan answer, len(list))}
	for _, h := range list {
		s.probes = append(s.probes, &probe{host: h})
	}
	return s
}

// run is one round. If no answer is a primary's, a missing host was silent before and is silent now, and every other
// host has answered a question of this round. The connections of the answers are the caller's.
func (s *search) run(ctx context.Context) (nodes []node) {
	s.round++
	for _, p := range s.probes {
		if !p.asking {
			s.ask(ctx, p)
		}
	}
	var late <-chan time.Time
	for s.open(true) {
		if late == nil && !s.open(false) {
			late = time.After(silentTime)
		}
		select {
		case a := <-s.answers:
			n, old := a.node, a.probe.begun != s.round
			a.probe.asking, a.probe.silent = false, silent(n.err)
			if old && n.Timeline == 0 { // asked in an earlier round, so it may have changed
				n.close()
				s.ask(ctx, a.probe)
				continue
			}
			nodes = append(nodes, n)
			if n.Timeline != 0 && late == nil {
				late = time.After(othersTime)
			}
		case <-late:
			return nodes
		}
	}
	return nodes
}

func (s *search) ask(ctx context.Context, p *probe) {
	p.asking, p.begun = true, s.round
	go func() { s.answers <- answer{p, p.host.ask(ctx)} }()
}

// open says whether attempts are under way. Attempts at silent hosts count only with the argument silent.
func (s *search) open(silent bool) bool {
	for _, p := range s.probes {
		if p.asking && (silent || !p.silent) {
			return true
		}
	}
	return false
}

// lost notes why the connection to a host was lost.
func (s *search) lost(host string, port uint16, err error) {
	for _, p := range s.probes {
		if p.host.config.Host == host && p.host.config.Port == port {
			p.silent = silent(err)
		}
	}
}

// end waits for the attempts under way, whose context has ended.
func (s *search) end() {
	for s.open(true) {
		a := <-s.answers
		a.probe.asking = false
		a.node.close()
	}
}
