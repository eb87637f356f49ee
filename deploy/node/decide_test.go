package main

import (
	"testing"
	"time"
)

// leader is the sight of a healthy leader.
func leader() Sight {
	return Sight{Me: "node1", Peer: "node2", Fresh: true, Record: Record{Leader: "node1", Term: 3, InSync: true},
		Local: Local{Primary: true, Waits: true, Streaming: true, Sync: true}}
}

func TestWhatAnAgentDoes(t *testing.T) {
	for _, c := range []struct {
		name string
		but  func(*Sight)
		want Act
	}{
		{"healthy", func(*Sight) {}, Nothing},
		{"started", func(s *Sight) { s.Local.Closed = true }, Open},
		{"started while the witness is away", func(s *Sight) { s.Local.Closed, s.Fresh = true, false }, Nothing},
		{"kept closed", func(s *Sight) { s.Local.Closed, s.KeptClosed = true, true }, Nothing},
		{"another leads", func(s *Sight) { s.Record.Leader = "node2" }, Depose},
		{"another leads, closed", func(s *Sight) { s.Record.Leader, s.Local.Closed = "node2", true }, Depose},
		{"another led when the witness was last heard", func(s *Sight) { s.Record.Leader, s.Fresh = "node2", false }, Nothing},
		{"the witness has lost its record", func(s *Sight) { s.Record = Record{} }, Enter},
		{"witness away", func(s *Sight) { s.Fresh = false }, Nothing},
		{"witness and standby away", func(s *Sight) { s.Fresh, s.Gone, s.Isolated = false, time.Minute, isolatedAfter+1 }, Close},
		{"witness away, standby silent for a moment", func(s *Sight) { s.Fresh, s.Isolated = false, isolatedAfter/2 }, Nothing},
		{"standby away", func(s *Sight) { s.Gone = lostAfter + 1 }, Distrust},
		{"standby away for a moment", func(s *Sight) { s.Gone = lostAfter / 2 }, Nothing},
		{"standby frozen", func(s *Sight) { s.Silent = silentAfter + 1 }, Distrust},
		{"standby away, witness away", func(s *Sight) { s.Gone, s.Fresh = time.Hour, false }, Nothing},
		{"the witness knows that the standby is away", func(s *Sight) { s.Gone, s.Record.InSync = time.Minute, false }, Distrust},
		{"alone", func(s *Sight) {
			s.Gone, s.Record.InSync, s.Local.Waits, s.Local.Streaming = time.Minute, false, false, false
		}, Nothing},
		{"the standby is back", func(s *Sight) { s.Record.InSync, s.Local.Waits = false, false }, Restrain},
		{"the standby is back and silent", func(s *Sight) { s.Record.InSync, s.Local.Waits, s.Silent = false, false, silentAfter }, Nothing},
		{"commits do not wait although the record says so", func(s *Sight) { s.Local.Waits = false }, Distrust},
		{"commits wait, and nobody knows since when", func(s *Sight) { s.Record.InSync, s.Proven = false, true }, Restrain},
		{"the standby catches up", func(s *Sight) { s.Record.InSync, s.Restrained = false, true }, Nothing},
		{"the standby has everything", func(s *Sight) { s.Record.InSync, s.Restrained, s.Proven = false, true, true }, Trust},
		{"the standby had everything and is silent", func(s *Sight) {
			s.Record.InSync, s.Restrained, s.Proven, s.Silent = false, true, true, silentAfter
		}, Nothing},
		{"standby", func(s *Sight) { s.Local.Primary, s.Record.Leader = false, "node2" }, Nothing},
		{"standby that has just begun to follow", func(s *Sight) {
			s.Local.Primary, s.Record.Leader, s.Local.Closed, s.Local.Follows = false, "node2", true, true
		}, Unlock},
		{"standby that leads", func(s *Sight) { s.Local.Primary = false }, Promote},
		{"standby that led when the witness was last heard", func(s *Sight) { s.Local.Primary, s.Fresh = false, false }, Nothing},
		{"standby whose leader is gone", func(s *Sight) {
			s.Local.Primary, s.Record.Leader, s.Gone, s.Mute = false, "node2", orphanedAfter+1, true
		}, TakeOver},
		{"standby whose leader answers and sends nothing", func(s *Sight) { s.Local.Primary, s.Record.Leader, s.Gone = false, "node2", orphanedAfter+1 }, Nothing},
		{"standby out of sync whose leader is gone", func(s *Sight) {
			s.Local.Primary, s.Record, s.Gone, s.Mute = false, Record{Leader: "node2"}, orphanedAfter+1, true
		}, Nothing},
		{"standby of before a restore", func(s *Sight) { s.Local.Primary, s.Record = false, Record{Leader: "node2", Generation: 1} }, Resync},
		{"standby of before a restore that shall lead", func(s *Sight) { s.Local.Primary, s.Record = false, Record{Leader: "node1", Generation: 1} }, Nothing},
		{"standby that gets nothing", func(s *Sight) { s.Local.Primary, s.Record.Leader, s.Gone = false, "node2", stuckAfter+1 }, Resync},
	} {
		s := leader()
		c.but(&s)
		if got := s.Decide(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestHowANodeStarts(t *testing.T) {
	standby, open := Peer{Answers: true, Timeline: 1}, Peer{Answers: true, Primary: true, Open: true, Timeline: 2}
	mine, theirs := Record{Leader: "node1"}, Record{Leader: "node2"}
	for _, c := range []struct {
		name string
		s    Start
		want Way
	}{
		{"nothing, alone", Start{Record: mine}, Wait},
		{"nothing, the other one is a standby", Start{Record: mine, Other: standby}, Wait},
		{"nothing, the other one leads", Start{Record: theirs, Other: open}, CloneNew},
		{"a standby", Start{HasData: true, Record: theirs, Other: open}, AsIs},
		{"a standby, alone", Start{HasData: true}, AsIs},
		{"a standby that gets nothing from a new leader", Start{HasData: true, Resync: true, Record: theirs, Other: open}, Rewind},
		{"a standby that gets nothing", Start{HasData: true, Resync: true, Record: theirs, Other: Peer{Answers: true, Primary: true, Timeline: 1}}, CloneNew},
		{"a node whose rewind was broken off", Start{HasData: true, WasLeader: true, Broken: true, Record: theirs, Other: open}, CloneNew},
		{"a node whose rewind was broken off, alone", Start{HasData: true, WasLeader: true, Broken: true, Record: mine, Other: standby}, Wait},
		{"a standby that gets nothing from nobody", Start{HasData: true, Resync: true, Record: theirs}, AsIs},
		{"a standby of before a restore", Start{HasData: true, Record: Record{Leader: "node2", Generation: 1}, Other: open}, CloneNew},
		{"a former leader of before a restore", Start{HasData: true, WasLeader: true, Record: Record{Leader: "node2", Generation: 1}, Other: open}, CloneNew},
		{"a standby of before a restore, alone", Start{HasData: true, Record: Record{Leader: "node2", Generation: 1}}, Wait},
		{"a leader whose restore was broken off", Start{HasData: true, WasLeader: true, Record: Record{Leader: "node1", Generation: 1}}, Wait},
		{"a restored leader", Start{HasData: true, WasLeader: true, Generation: 1, Record: Record{Leader: "node1", Generation: 1}}, AsIs},
		{"the leader", Start{HasData: true, WasLeader: true, Record: mine, Other: standby}, AsIs},
		{"the leader, alone with the witness", Start{HasData: true, WasLeader: true, Record: mine}, AsIs},
		{"the leader, whose peer was promoted by hand", Start{HasData: true, WasLeader: true, Record: mine, Other: open}, Wait},
		{"a former leader", Start{HasData: true, WasLeader: true, Record: theirs, Other: open}, Rewind},
		{"a former leader before the new one takes writes", Start{HasData: true, WasLeader: true, Record: theirs, Other: standby}, Wait},
		{"a former leader, alone with the witness", Start{HasData: true, WasLeader: true, Record: theirs}, Wait},
		{"a leader without witness, of a standby", Start{HasData: true, WasLeader: true, Other: standby}, AsIs},
		{"a leader without witness, of a standby on a newer timeline", Start{HasData: true, WasLeader: true, Other: Peer{Answers: true, Timeline: 2}}, Wait},
		{"a leader without witness, overtaken", Start{HasData: true, WasLeader: true, Other: open}, Wait},
		{"a leader without witness, alone", Start{HasData: true, WasLeader: true}, Wait},
	} {
		c.s.Me, c.s.Peer, c.s.Timeline = "node1", "node2", 1
		if got, why := c.s.Decide(); got != c.want || why == "" {
			t.Errorf("%s: %q (%s), want %q", c.name, got, why, c.want)
		}
	}
}
