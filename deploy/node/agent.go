package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

const (
	tick = 200 * time.Millisecond
	// handoverTime is how long a switchover may keep its node closed.
	handoverTime = 15 * time.Second
)

// Agent keeps a database node in the role that the witness's record gives it.
type Agent struct {
	config  *Config
	server  *Server
	witness *Witness
	log     *slog.Logger
	heard   atomic.Pointer[heard]

	gone, silent, isolated     span
	reply                      string
	goal                       lsn.LSN // what the standby must flush to be trusted; 0: unknown
	last                       Act
	started, maintained, asked time.Time
}

// heard is the record and when the witness said it.
type heard struct {
	Record
	at time.Time
}

// span measures since when something holds.
type span struct{ since time.Time }

func (s *span) of(holds bool, now time.Time) time.Duration {
	switch {
	case !holds:
		s.since = time.Time{}
		return 0
	case s.since.IsZero():
		s.since = now
	}
	return max(now.Sub(s.since), 1)
}

func newAgent(c *Config, log *slog.Logger) *Agent {
	return &Agent{config: c, server: newServer(c), witness: newWitness(), log: log}
}

// Run keeps the node until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	go a.listen(ctx)
	registrar := &registrar{config: a.config, log: a.log}
	defer registrar.stop()
	for pause(ctx, tick) {
		local, err := a.server.Look(ctx)
		if err != nil {
			a.gone, a.silent, a.goal, a.started = span{}, span{}, 0, time.Time{}
			continue
		}
		s := a.see(local, time.Now())
		if act := s.Decide(); act != Nothing {
			a.note(act, a.carryOut(ctx, act, s))
		}
		if err := a.maintain(ctx, s); err != nil {
			a.log.Warn("pgpool-II and slots", "error", err.Error())
		}
		registrar.keep(ctx, a.server, s)
	}
	return ctx.Err()
}

// listen asks the witness again and again, so that a witness that hangs holds nothing up.
func (a *Agent) listen(ctx context.Context) {
	w := newWitness()
	defer w.close()
	for {
		if r, err := w.Read(ctx); err == nil {
			a.heard.Store(&heard{r, time.Now()})
		}
		if !pause(ctx, tick) {
			return
		}
	}
}

// see puts together what the agent knows.
func (a *Agent) see(l Local, now time.Time) Sight {
	s := Sight{Me: a.config.Node, Peer: a.config.Peer, Local: l, Handover: a.handover()}
	if h := a.heard.Load(); h != nil {
		s.Record, s.Fresh = h.Record, now.Sub(h.at) < staleAfter
	}
	away := l.Primary && !l.Streaming || !l.Primary && !l.Follows
	s.Gone = a.gone.of(away, now)
	if l.Reply != a.reply {
		a.silent, a.reply = span{}, l.Reply
	}
	if s.Silent = a.silent.of(l.Streaming, now); s.Silent < silentAfter/2 {
		s.Silent = 0
	}
	s.Isolated = a.isolated.of(!s.Fresh && (away || s.Silent > 0), now)
	s.Proven = a.proven(l)
	return s
}

// proven says whether the standby has flushed all that was flushed at a moment when every commit waited for it.
func (a *Agent) proven(l Local) bool {
	if !l.Waits || !l.Streaming || !l.Sync {
		a.goal = 0
		return false
	}
	if a.goal == 0 && l.Settled {
		a.goal = l.Flushed
	}
	return a.goal != 0 && l.Theirs >= a.goal
}

func (a *Agent) handover() bool {
	info, err := os.Stat(a.config.file("handover"))
	return err == nil && time.Since(info.ModTime()) < handoverTime
}

// note logs an act once.
func (a *Agent) note(act Act, err error) {
	switch {
	case err != nil:
		a.log.Warn(string(act), "error", err.Error())
	case act != a.last:
		a.log.Info(string(act))
	}
	a.last = act
}

// carryOut does one step. What did not work is decided anew at the next tick.
func (a *Agent) carryOut(ctx context.Context, act Act, s Sight) error {
	l := s.Local
	switch act {
	case First:
		if p := askPeer(ctx, a.config); !p.Answers || p.Primary || p.Timeline > l.Timeline {
			return errors.New("the other node does not say that it is a standby; if this node has all bids: `node lead`")
		}
		return a.witness.First(ctx, s.Me)
	case Depose:
		return errors.Join(a.server.SetRole(ctx, Role{Waits: true}), a.server.Stop(ctx))
	case Close:
		return a.server.SetRole(ctx, Role{Waits: l.Waits})
	case Open:
		return a.server.SetRole(ctx, Role{Open: true, Waits: s.Record.InSync || l.Streaming})
	case Distrust:
		if err := a.witness.SetSync(ctx, s.Record, false); err != nil {
			return err
		}
		return a.server.SetRole(ctx, Role{Open: true})
	case Relax:
		return a.server.SetRole(ctx, Role{Open: true})
	case Restrain:
		a.goal = 0
		return a.server.SetRole(ctx, Role{Open: true, Waits: true})
	case Trust:
		return a.witness.SetSync(ctx, s.Record, true)
	case Unlock:
		return a.server.SetRole(ctx, Role{Open: true, Waits: true})
	case Promote:
		return a.server.Promote(ctx)
	case Resync:
		return errors.Join(os.WriteFile(a.config.file("resync"), nil, 0o600), a.server.Stop(ctx))
	}
	return nil
}
