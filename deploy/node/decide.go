package main

import "time"

// How long a node waits before it acts.
const (
	// lostAfter is how long the standby may be gone, or silent, before the leader goes on without it.
	lostAfter   = time.Second
	silentAfter = 2500 * time.Millisecond
	// staleAfter is the age at which what the witness said counts no more.
	staleAfter = 1500 * time.Millisecond
	// isolatedAfter is how long a leader may reach neither witness nor standby. Its commits wait meanwhile.
	isolatedAfter = 2 * time.Second
	// orphanedAfter is how long a standby may receive nothing from a leader that does not answer, before it takes over
	// itself: repmgrd tries once, and not at all if it was started after the leader was lost.
	orphanedAfter = 3 * time.Second
	// stuckAfter is how long a standby may receive nothing although the leader takes writes.
	stuckAfter = 15 * time.Second
)

// Sight is all that an agent decides by.
type Sight struct {
	Me, Peer string
	Local    Local
	Record   Record
	Fresh    bool // the witness has said Record a moment ago
	// Generation is that of the local data.
	Generation int64
	KeptClosed bool // a switchover or a promotion keeps this node closed for a while
	// Since when the standby does not stream (of a leader), or this node receives nothing (of a standby); since when
	// the standby has not answered; since when this leader reaches neither witness nor standby. 0: it is not so.
	Gone, Silent, Isolated time.Duration
	// Mute: this standby receives nothing, and the other node did not answer when it was asked last.
	Mute bool
	// Restrained: this agent has made commits wait. Proven: the standby has flushed all that was flushed when they surely did.
	Restrained, Proven bool
}

// Act is what an agent does next.
type Act string

// What an agent can do.
const (
	Nothing  Act = ""
	Depose   Act = "another node leads: stop, and come back as its standby"
	Close    Act = "neither witness nor standby can be reached: take no writes"
	Open     Act = "this node leads: take writes"
	Enter    Act = "the witness knows no leader: this primary is one"
	Distrust Act = "the standby lacks commits or is away: say so to the witness, then go on without it"
	Restrain Act = "the standby is back: wait for it from now on"
	Trust    Act = "the standby has everything: it may be promoted"
	Promote  Act = "the witness says that this node leads"
	TakeOver Act = "the leader is gone, and this node has every bid: tell the witness that it leads"
	// pgpool-II wants the same settings on both nodes. A standby can't write anyway.
	Unlock Act = "it follows the leader: no lock but that of a standby"
	Resync Act = "this standby gets nothing from the leader: start anew, from the leader's data"
)

// Decide says what the agent of a database node does next.
func (s Sight) Decide() Act {
	switch {
	case !s.Local.Primary:
		return s.follow()
	case s.Fresh && s.Record.Leader == "":
		return Enter
	case s.Fresh && s.Record.Leader != s.Me:
		return Depose
	case !s.Fresh && s.Isolated > isolatedAfter && !s.Local.Closed:
		return Close
	case !s.Fresh:
		return Nothing
	case s.Local.Closed && !s.KeptClosed:
		return Open
	case s.Local.Closed:
		return Nothing
	}
	return s.sync()
}

func (s Sight) follow() Act {
	switch {
	case s.Fresh && s.Record.Leader == s.Peer && s.Record.Generation != s.Generation:
		return Resync
	case s.Fresh && s.Record.Leader == s.Me && s.Record.Generation == s.Generation:
		return Promote
	case s.Fresh && s.Record.Leader == s.Peer && s.Gone > stuckAfter:
		return Resync
	case s.Fresh && s.Record.Leader == s.Peer && s.Record.InSync && s.Gone > orphanedAfter && s.Mute:
		return TakeOver
	case s.Fresh && s.Record.Leader == s.Peer && s.Local.Follows && s.Local.Closed:
		return Unlock
	}
	return Nothing
}

// sync keeps two things true: while the record says in sync, commits wait for the standby; and it says so only if the standby
// has every commit that did not wait.
func (s Sight) sync() Act {
	lost := s.Gone > lostAfter || s.Silent > silentAfter
	here := s.Local.Streaming && s.Silent == 0
	switch {
	case s.Local.Waits && lost, !s.Local.Waits && s.Record.InSync:
		return Distrust
	case here && !s.Record.InSync && (!s.Local.Waits || !s.Restrained):
		return Restrain
	case here && !s.Record.InSync && s.Proven:
		return Trust
	}
	return Nothing
}
