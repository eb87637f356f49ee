package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// plots are what the page draws; look returns their values, in the order of the paths.
var plots = []opspage.Plot{
	{Title: "Read paths behind the primary", Unit: "ms", Series: []string{"redis", "replica", "standby"}},
	{Title: "Own lookup", Unit: "ms", Series: []string{"redis", "replica", "standby", "primary"}},
}

// page is what query shows to operators: what its reads meet.
type page struct {
	*opspage.Hub
	chain    *bidbook.Chain
	observer *bidbook.Observer
	primary  func() *primary.State

	spared map[bidbook.Path]bool
	lags   bool
	known  primary.State // of which was told
}

func newPage(c *config, b *backends, o opspage.Options) *page {
	p := &page{chain: b.chain, observer: bidbook.NewObserver(b.chain), primary: b.primary.State, spared: make(map[bidbook.Path]bool)}
	o.Service, o.Instance, o.Plots, o.Look, o.Peers = "query", c.AdminAddr, plots, p.look, c.Peers
	o.Guard, o.Now = opspage.Guard{Hosts: c.Hosts}, c.Clock().Now
	p.Hub = opspage.NewHub(o)
	return p
}

// observe runs the observer of the paths.
func (p *page) observe(ctx context.Context) error { return p.observer.Run(ctx) }

// look reports what is known now.
func (p *page) look(time.Time) (opspage.Report, []opspage.Value) {
	sights, state := p.observer.Sights(), p.primary()
	p.tell(sights, state)
	r := opspage.Report{Verdict: verdict(sights, state, p.chain.Left()), Paths: pathsOf(sights), Nodes: nodesOf(sights, state)}
	var lags, took []opspage.Value
	for _, s := range sights {
		lag, one := opspage.None(), opspage.None()
		if s.Err == nil && !s.Spared {
			lag, one = opspage.Value(s.At.LagMillis), opspage.Value(float64(s.Took.Microseconds())/1000)
		}
		took = append(took, one)
		if s.Path != bidbook.PathPrimary {
			lags = append(lags, lag)
		}
		if s.Path == bidbook.PathRedis {
			r.Figures = figures(s)
		}
	}
	return r, append(lags, took...)
}

func figures(redis bidbook.Sight) []opspage.Figure {
	lag := opspage.Figure{Name: "Redis behind, as seen here", Value: fmt.Sprintf("%d ms", redis.At.LagMillis)}
	switch {
	case redis.Err != nil:
		lag.Value, lag.Level = "–", opspage.Bad
	case lagging(redis):
		lag.Value, lag.Level = seconds(redis.At.LagMillis), opspage.Bad
	}
	return []opspage.Figure{lag}
}

// A lag is told from lagsFrom milliseconds on, and its end below lagsTo.
const lagsFrom, lagsTo = 2000, 1000

func lagging(redis bidbook.Sight) bool { return redis.Err == nil && redis.At.LagMillis >= lagsFrom }

func seconds(ms int64) string { return fmt.Sprintf("%.1f s", float64(ms)/1000) }

// verdict says where reads come from.
func verdict(sights []bidbook.Sight, s *primary.State, left bool) opspage.Verdict {
	redis := sights[0]
	switch {
	case lagging(redis) && left:
		return opspage.Verdict{Level: opspage.Bad, Text: fmt.Sprintf("Redis is %s behind, so the standby answers reads. The replicator does not follow.", seconds(redis.At.LagMillis))}
	case lagging(redis):
		return opspage.Verdict{Level: opspage.Bad, Text: fmt.Sprintf("Redis is %s behind, and no fresher standby answers.", seconds(redis.At.LagMillis))}
	case !s.Connected:
		return opspage.Verdict{Level: opspage.Bad, Text: "No primary answers. Reads go on; bids can't be placed."}
	case redis.Err != nil || redis.Spared:
		return opspage.Verdict{Level: opspage.Doubt, Text: "Redis does not answer reads (" + trouble(redis) + "). The other paths do."}
	}
	for _, one := range sights {
		if one.Err != nil || one.Spared {
			return opspage.Verdict{Level: opspage.Doubt, Text: fmt.Sprintf("Reads come from Redis, but the path %s does not answer (%s).", one.Path, trouble(one))}
		}
	}
	return opspage.Verdict{Level: opspage.Good, Text: fmt.Sprintf("Reads come from Redis, %d ms behind the primary.", redis.At.LagMillis)}
}

// trouble is the problem of a path in a few words. The error itself may hold addresses and goes to the log.
func trouble(s bidbook.Sight) string {
	switch {
	case s.Err == nil && s.Spared:
		return "spared after failures"
	case s.Err == nil:
		return ""
	case errors.Is(s.Err, bidbook.ErrIncomplete):
		return "not whole"
	case errors.Is(s.Err, bidbook.ErrBusy):
		return "too busy"
	case errors.Is(s.Err, primary.ErrForked), errors.Is(s.Err, primary.ErrUnproven), errors.Is(s.Err, primary.ErrUnsure):
		return "not proven to follow the primary"
	case errors.Is(s.Err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return "fails"
}

func pathsOf(sights []bidbook.Sight) (all []opspage.Path) {
	for _, s := range sights {
		p := opspage.Path{Name: string(s.Path), LagMillis: -1, Reads: s.Reads, P99Micros: s.P99.Microseconds(), Spared: s.Spared, Problem: trouble(s)}
		if s.Err == nil {
			p.Micros, p.LagMillis = s.Took.Microseconds(), s.At.LagMillis
		}
		all = append(all, p)
	}
	return all
}

// nodesOf are the primary that is watched and the node behind the path standby. The replicator knows more about nodes, so
// the page shows these only while no replicator is heard.
func nodesOf(sights []bidbook.Sight, s *primary.State) []opspage.Node {
	if s.Host == "" {
		return nil
	}
	n := opspage.Node{Address: address(s), Role: "primary", Timeline: s.History.Present(), Position: s.Flushed.String(), Level: opspage.Good}
	if !s.Connected {
		n.Role, n.Level = "no answer", opspage.Bad
	}
	all := []opspage.Node{n}
	for _, one := range sights {
		if one.Path == bidbook.PathStandby && one.Err == nil && one.At.Path == bidbook.PathStandby {
			all = append(all, opspage.Node{Address: "path standby", Role: "standby", Timeline: one.At.At.Timeline, Position: one.At.At.LSN.String(), Level: opspage.Good})
		}
	}
	return all
}

func address(s *primary.State) string { return net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port))) }

// tell tells what has changed since the last look.
func (p *page) tell(sights []bidbook.Sight, s *primary.State) {
	for _, one := range sights {
		if one.Spared != p.spared[one.Path] {
			p.spared[one.Path] = one.Spared
			if one.Spared {
				p.Tell(opspage.PathSpared, one.Path)
			} else {
				p.Tell(opspage.PathBack, one.Path)
			}
		}
	}
	redis := sights[0]
	switch {
	case !p.lags && lagging(redis):
		p.lags = true
		p.Tell(opspage.Lags, seconds(redis.At.LagMillis))
	case p.lags && redis.Err == nil && redis.At.LagMillis < lagsTo:
		p.lags = false
		p.Tell(opspage.CaughtUp)
	}
	if s.Generation == p.known.Generation && s.Connected == p.known.Connected {
		return
	}
	p.known = *s
	if s.Connected {
		p.Tell(opspage.PrimaryFound, address(s), s.History.Present())
	} else {
		p.Tell(opspage.PrimaryLost, address(s))
	}
}
