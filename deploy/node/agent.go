package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

const (
	tick = 200 * time.Millisecond
	// closedTime is how long a switchover or a promotion may keep its node closed.
	closedTime = 15 * time.Second
)

// Agent keeps a database node in the role that the witness's record gives it.
type Agent struct {
	config  *Config
	server  *Server
	witness *Witness
	log     *slog.Logger
	heard   atomic.Pointer[heard]
	seen    atomic.Pointer[Sight] // nil while the server does not answer
	mute    atomic.Bool           // the other node did not answer when it was asked last

	gone, silent    span
	reply, replayed string
	restrained      bool    // this agent has made commits wait
	settled         int     // looks since then at which the checkpointer rested
	goal            lsn.LSN // what the standby must flush to be trusted; 0: unknown
	last, logged    string  // what the log says
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
	go a.askAround(ctx)
	go a.maintain(ctx)
	registrar := &registrar{config: a.config, log: a.log}
	defer registrar.stop()
	for pause(ctx, tick) {
		local, err := a.server.Look(ctx)
		a.tell("the server does not answer", err)
		if err != nil {
			a.gone, a.silent = span{}, span{}
			a.seen.Store(nil)
			a.forget()
			continue
		}
		s := a.see(local, time.Now())
		if act := s.Decide(); act != Nothing {
			a.note(act, a.carryOut(ctx, act, s))
		}
		a.seen.Store(&s)
		registrar.keep(ctx, a.server, s)
	}
	return ctx.Err()
}

// listen asks the witness again and again, so that a witness that hangs holds nothing up.
func (a *Agent) listen(ctx context.Context) {
	w := newWitness()
	defer w.close()
	silent := false
	for {
		r, err := w.Read(ctx)
		if err == nil {
			a.heard.Store(&heard{r, time.Now()})
		}
		if failed := err != nil; failed != silent {
			silent = failed
			a.log.Info("the witness", "answers", !failed, "error", fmt.Sprint(err))
		}
		if !pause(ctx, tick) {
			return
		}
	}
}

// see puts together what the agent knows.
func (a *Agent) see(l Local, now time.Time) Sight {
	s := Sight{Me: a.config.Node, Peer: a.config.Peer, Local: l, KeptClosed: a.keptClosed(), Generation: generationOf(a.config.Data)}
	if h := a.heard.Load(); h != nil {
		s.Record, s.Fresh = h.Record, now.Sub(h.at) < staleAfter
	}
	away := l.Primary && !l.Streaming || !l.Primary && !l.Follows && l.Replayed == a.replayed
	a.replayed = l.Replayed
	s.Gone = a.gone.of(away, now)
	if l.Reply != a.reply {
		a.silent, a.reply = span{}, l.Reply
	}
	if s.Silent = a.silent.of(l.Streaming, now); s.Silent < silentAfter/2 {
		s.Silent = 0
	}
	if h := a.heard.Load(); h != nil && !s.Fresh && (away || s.Silent > 0) {
		s.Isolated = now.Sub(h.at)
	}
	s.Mute = a.mute.Load()
	s.Restrained, s.Proven = a.restrained, a.proven(l)
	return s
}

// proven says whether the standby has flushed all that was flushed at a moment when every commit waited for it.
func (a *Agent) proven(l Local) bool {
	if !a.restrained || !l.Waits || !l.Streaming || !l.Sync {
		a.goal, a.settled = 0, 0
		return false
	}
	if l.Settled {
		a.settled++
	}
	// The checkpointer may just have read the setting when it is seen to rest for the first time.
	if a.goal == 0 && a.settled > 1 {
		a.goal = l.Flushed
	}
	return a.goal != 0 && l.Theirs >= a.goal
}

// forget gives up what is known of the waiting of commits.
func (a *Agent) forget() { a.restrained, a.settled, a.goal = false, 0, 0 }

// tell logs an error when it changes.
func (a *Agent) tell(what string, err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	if now != a.logged && now != "" {
		a.log.Info(what, "error", now)
	}
	a.logged = now
}

// keptClosed says whether a program keeps this node closed.
func (a *Agent) keptClosed() bool {
	info, err := os.Stat(a.config.file("closed"))
	if err != nil {
		return false
	}
	left := time.Until(info.ModTime())
	return left > 0 && left <= closedTime
}

// note logs an act, and an error that it meets again and again only once.
func (a *Agent) note(act Act, err error) {
	line := string(act)
	if err != nil {
		line += ": " + err.Error()
	}
	if line == a.last {
		return
	}
	a.last = line
	if err != nil {
		a.log.Warn(string(act), "error", err.Error())
		return
	}
	a.log.Info(string(act))
}

// errGone: what the agent has decided by is no longer so.
var errGone = errors.New("no longer so")

// carryOut does one step. What did not work is decided anew at the next tick. The witness is asked again before a step that
// can't be taken back, because what the agent has heard is up to a second old.
func (a *Agent) carryOut(ctx context.Context, act Act, s Sight) error {
	record, err := a.witness.Read(ctx)
	if same := record.Leader == s.Record.Leader && record.Term == s.Record.Term; act != Close && (err != nil || !same) {
		return errors.Join(errGone, err)
	}
	switch act {
	case Close, Open, Restrain, Distrust, Trust:
		return a.lead(ctx, act, s.Local, record)
	case Enter:
		if p := askPeer(ctx, a.config); !p.Answers || p.Primary || p.Timeline > s.Local.Timeline {
			return errors.New("the other node does not say that it is a standby; if this node has all bids: `node lead`")
		}
		return a.witness.Enter(ctx, s.Me, s.Generation)
	case Depose:
		return errors.Join(a.server.SetRole(ctx, Role{Waits: true}), a.server.Stop(ctx))
	case Unlock:
		return a.server.SetRole(ctx, Role{Open: true, Waits: true})
	case Promote:
		return a.server.Promote(ctx, a.log)
	case TakeOver:
		return a.witness.Lead(ctx, record, s.Me, false)
	case Resync:
		if !askPeer(ctx, a.config).Open {
			return errors.New("the leader takes no writes")
		}
		return errors.Join(os.WriteFile(a.config.file("resync"), nil, 0o600), a.server.Stop(ctx))
	}
	return nil
}

// lead does the steps of a leader. Commits stop waiting only after the record says so, and it says in sync only after they wait.
func (a *Agent) lead(ctx context.Context, act Act, l Local, record Record) error {
	switch act {
	case Restrain:
		a.forget()
		err := a.server.SetRole(ctx, Role{Open: true, Waits: true})
		a.restrained = err == nil
		return err
	case Trust:
		return a.witness.SetSync(ctx, record, true)
	}
	a.forget()
	switch act {
	case Close:
		return a.server.SetRole(ctx, Role{Waits: l.Waits})
	case Open:
		return a.server.SetRole(ctx, Role{Open: true, Waits: record.InSync || l.Streaming})
	case Distrust:
		if err := a.witness.SetSync(ctx, record, false); err != nil {
			return err
		}
		return a.server.SetRole(ctx, Role{Open: true})
	}
	return nil
}
