package drill

import (
	"slices"
	"strings"
	"time"
)

// Drill is a failure and what must hold meanwhile.
type Drill struct {
	Name string
	// Before makes ready what the drill needs, before the load begins.
	Before []string
	// Steps cause the failure and end it; Undo ends it if a step has failed.
	Steps, Undo []string
	// Writes and Reads bound the longest time without an accepted bid and without an answer to a plain read.
	Writes, Reads time.Duration
	// Rates is the load; the set's if zero. Strict: no request may fail.
	Rates  Rates
	Strict bool
	// May are alerts that may fire, besides those that a step waits for (Alerts). No other page may.
	May []string
	// Short: the drill is in the short set.
	Short bool

	slack int // see slower
}

const (
	// During a single kill -9 reads go on, because every path has a second one.
	killReads = time.Second
	// A front door that was killed is back within this time.
	doorTime = 3 * time.Second
	// After the primary was killed the standby takes bids within this time.
	failover = 5 * time.Second
	// A frozen part answers nothing and refuses nothing, so that it takes longer to be noticed.
	freezeReads = 5 * time.Second
	// decisions is for what needs more than one decision: first that a node is silent, then that another leads or goes on
	// alone.
	decisions = 15 * time.Second
	// outage is for what takes writes away until it ends.
	outage = 30 * time.Second
)

// first makes the first replicator the one that works, because the other one was away for a moment.
var first = []string{"stop replicator-2", "wait 1s", "start replicator-2", "wait 1s"}

// kill is a drill that kills a program, which is started again by whoever keeps it.
func kill(program string) Drill {
	return Drill{Name: "kill " + bare.Replace(program), Steps: []string{"kill " + program, "wait 4s"}, Writes: failover, Reads: killReads}
}

// freeze is a drill that freezes a program and thaws it.
func freeze(program, wait string) Drill {
	return failure("freeze "+bare.Replace(program), "freeze "+program, "wait "+wait, "thaw "+program, "wait 3s").undo("thaw " + program)
}

// failure is a drill of any steps.
func failure(name string, steps ...string) Drill {
	return Drill{Name: name, Steps: steps, Writes: failover, Reads: freezeReads}
}

// clock is a drill that lets a program's clock go wrong.
func clock(name, program string) Drill {
	return failure(name+"'s clock 5 s ahead", "clock "+program+" +5s", "fires ClockWrong", "clock "+program+" 0", "wait 3s").undo("clock " + program + " 0")
}

// full is a drill that fills the disk of a program.
func full(name, program string) Drill {
	return failure(name+" disk full", "fill "+program, "wait 8s", "unfill "+program, "wait 5s").undo("unfill " + program)
}

// partition is a drill that lets a node reach neither the other one nor the witness.
func partition(role string) Drill {
	links := "link-1 {" + role + "-link}"
	return failure("partition: "+role+" alone", "freeze "+links, "wait 12s", "thaw "+links, "wait 3s").undo("thaw " + links)
}

var bare = strings.NewReplacer("{", "", "}", "")

func (d Drill) named(name string) Drill         { d.Name = name; return d }
func (d Drill) before(steps ...string) Drill    { d.Before = steps; return d }
func (d Drill) undo(steps ...string) Drill      { d.Undo = steps; return d }
func (d Drill) writes(most time.Duration) Drill { d.Writes = most; return d }
func (d Drill) reads(most time.Duration) Drill  { d.Reads = most; return d }
func (d Drill) inShort() Drill                  { d.Short = true; return d }
func (d Drill) may(alerts ...string) Drill      { d.May = alerts; return d }

// leaderless are alerts of the time in which nobody leads, or a node is on its way back. While commits wait for a standby that is
// away, no heartbeat comes, so that Redis seems to lag.
var leaderless = []string{"WritableNodes", "NodeDown", "TargetDown", "StandbyNotStreaming", "FrontDoorWithoutServer", "NoBidAccepted", "BidsFail", "CloserMissing", "ReadModelLag"}

// All are the drills in their order: those of failures, and those of alerts, which last until the alerts fire.
var All = slices.Concat(failures, alerting)

var failures = []Drill{
	// The background comparison begins a part every 30 s.
	Drill{Name: "nothing fails, and no log has an error", Steps: []string{"wait 35s", "errors"}, Writes: killReads, Reads: killReads, Strict: true}.before("logs"),
	kill("{primary}"),
	kill("{standby}"),
	kill("witness"),
	kill("pgpool"),
	kill("redis").inShort(),
	kill("command-1").inShort(),
	kill("query-1").inShort(),
	kill("replicator-1").named("kill the working replicator").before(first...),
	kill("exporter-1"),
	kill("prometheus"),
	kill("alertmanager"),
	kill("haproxy").writes(doorTime).reads(doorTime),
	kill("{primary} {primary-agent}").named("kill the primary's whole node").writes(decisions).may(leaderless...),
	failure("failover, and back by another one", "crash {primary}", "wait 6s", "start {primary}", "whole", "crash {standby}", "wait 6s", "start {standby}",
		"wait 3s").undo("start {primary} {standby}").reads(killReads).inShort().may(leaderless...),

	freeze("{primary}", "12s").writes(decisions).inShort().may(leaderless...),
	freeze("{standby}", "8s").writes(decisions).may(leaderless...),
	freeze("witness", "8s"),
	freeze("pgpool", "8s"),
	freeze("redis", "8s"),
	freeze("command-1", "8s"),
	freeze("query-1", "8s"),
	// The takeover takes up to ten seconds (P9), so Redis may stand still for longer than ReadModelLag waits.
	freeze("replicator-1", "12s").named("freeze the working replicator").before(first...).may("ReadModelLag"),
	freeze("replicator-2", "8s").named("freeze the waiting replicator").before(first...),
	freeze("haproxy", "3s"),

	failure("old primary started by hand", "stop {primary}", "wait 7s", "start {primary}", "wait 5s").
		undo("start {primary}").writes(decisions).reads(killReads).may(leaderless...),
	failure("walreceiver frozen before the kill", "freeze {standby}:walreceiver", "wait 2s", "crash {primary}", "wait 8s",
		"thaw {standby}:walreceiver", "wait 2s", "start {primary}", "wait 4s").undo("thaw {standby}:walreceiver", "start {primary}").writes(outage).may(leaderless...),
	failure("standby lags before the kill", "sql {standby} SELECT pg_wal_replay_pause()", "wait 4s", "crash {primary}", "wait 6s",
		"sql {standby} "+resume, "start {primary}", "wait 3s").undo("sql {standby} "+resume, "start {primary}").writes(decisions).may(leaderless...),
	failure("switchover and back", "switchover", "whole", "switchover", "whole"),
	partition("primary").writes(decisions).inShort().may(leaderless...),
	partition("standby").writes(decisions).may(leaderless...),

	full("standby's", "{standby}").writes(decisions).may(leaderless...),
	full("primary's", "{primary}").writes(outage).may(leaderless...),
	failure("slot dropped", "sql primary "+dropSlots, "wait 5s"),
	failure("slot invalidated", "freeze replicator-1 replicator-2", "wait 2s", "sql primary "+keepLittle, "sql primary "+keepNothing, "sql primary "+reload,
		"sql primary "+switchWAL, "sql primary "+switchWAL, "sql primary CHECKPOINT", "sql primary "+mustBeLost,
		"thaw replicator-1 replicator-2", "sql primary "+keepAgain, "sql primary "+keepFiles, "sql primary "+reload, "wait 5s").
		undo("thaw replicator-1 replicator-2", "sql primary "+keepAgain, "sql primary "+keepFiles, "sql primary "+reload).may("ReadModelLag"),
	failure("publication altered and put back", "sql primary "+dropTable, "wait 3s", "sql primary "+addTable, "wait 5s").undo("sql primary " + addTable),
	failure("FLUSHALL", "flush", "wait 5s"),

	clock("standby", "{standby}").writes(decisions).may(leaderless...),
	clock("primary", "{primary}").writes(decisions).may(leaderless...),
	clock("command-1", "command-1"),
	clock("query-1", "query-1"),

	{Name: "rolling restart of everything", Steps: []string{"rolling"}, Writes: failover, Reads: killReads, Rates: Rates{300, 1500}, Strict: true},
	failure("everything killed at once", "kill *", "wait 8s").writes(time.Minute).reads(time.Minute).inShort().may(leaderless...),
}

// Upgrade takes a deployment of the old build to the new one and back. It needs both builds, so it is not one of All.
var Upgrade = Drill{Name: "rolling upgrade and downgrade", Steps: []string{"built", "build {new}", "rolling", "built", "verify", "build {old}", "rolling", "built"},
	Writes: failover, Reads: killReads, Rates: Rates{300, 1500}, Strict: true,
	// Prometheus has the rules of the new build while command is still of the old one, which may lack metrics that they use.
	May: []string{"CloserMissing", "NoBidAccepted"}}

// Statements of drills. The slots of the replicators are the logical ones.
const (
	resume = `SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()`
	// The replicator may be back before its slot is dropped.
	dropSlots = `DO $$ DECLARE s record; BEGIN
		FOR s IN SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical' AND NOT temporary LOOP
			FOR try IN 1..50 LOOP BEGIN
				PERFORM pg_terminate_backend(active_pid, 2000) FROM pg_replication_slots p WHERE p.slot_name = s.slot_name AND active_pid > 0;
				PERFORM pg_drop_replication_slot(s.slot_name);
				EXIT;
			EXCEPTION WHEN object_in_use THEN IF try = 50 THEN RAISE; END IF; END; END LOOP;
		END LOOP; END $$`
	mustBeLost = `SELECT slot_name, 1 / (wal_status = 'lost')::int FROM pg_replication_slots WHERE slot_type = 'logical' AND NOT temporary`
	keepLittle = `ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`
	keepAgain  = `ALTER SYSTEM RESET max_slot_wal_keep_size`
	// The WAL that is kept whatever the slots need would keep the slot.
	keepNothing = `ALTER SYSTEM SET wal_keep_size = 0`
	keepFiles   = `ALTER SYSTEM RESET wal_keep_size`
	reload      = `SELECT pg_reload_conf()`
	switchWAL   = `SELECT pg_switch_wal() FROM (SELECT pg_logical_emit_message(true, 'drill', 'x')) x`
	dropTable   = `ALTER PUBLICATION pyramid DROP TABLE bids`
	addTable    = `ALTER PUBLICATION pyramid ADD TABLE bids`
)
