package drill

import "time"

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
	// Short: the drill is in the short set.
	Short bool
}

const (
	second = time.Second
	// During a single kill -9 reads go on, because every path has a second one.
	killReads = second
	// A front door that was killed is back within this time.
	doorTime = 3 * second
	// After the primary was killed the standby takes bids within this time.
	failover = 5 * second
	// A frozen part answers nothing and refuses nothing, so that it takes longer to be noticed.
	freezeTime = 5 * second
	// frozenWrites is for a frozen primary or witness, and for whatever needs more than one decision.
	frozenWrites = 15 * second
)

// first makes the first replicator the one that works, because the other one was away for a moment.
var first = []string{"stop replicator-2", "wait 1s", "start replicator-2", "wait 1s"}

// kill is a drill that kills a program, which is started again by whoever keeps it.
func kill(program string, writes, reads time.Duration) Drill {
	return Drill{Name: "kill " + program, Steps: []string{"kill " + program, "wait 4s"}, Writes: writes, Reads: reads}
}

// freeze is a drill that freezes a program and thaws it.
func freeze(program, wait string, writes, reads time.Duration) Drill {
	return Drill{Name: "freeze " + program, Steps: []string{"freeze " + program, "wait " + wait, "thaw " + program, "wait 3s"},
		Undo: []string{"thaw " + program}, Writes: writes, Reads: reads}
}

func (d Drill) named(name string) Drill      { d.Name = name; return d }
func (d Drill) before(steps ...string) Drill { d.Before = steps; return d }
func (d Drill) inShort() Drill               { d.Short = true; return d }
func (d Drill) undo(steps ...string) Drill   { d.Undo = steps; return d }
func failure(name string, s ...string) Drill {
	return Drill{Name: name, Steps: s, Writes: failover, Reads: freezeTime}
}
func (d Drill) bounds(w, r time.Duration) Drill { d.Writes, d.Reads = w, r; return d }

// All are the drills in their order.
var All = []Drill{
	kill("{primary}", failover, killReads).named("kill primary"),
	kill("{standby}", failover, killReads).named("kill standby"),
	kill("witness", failover, killReads),
	kill("pgpool", failover, killReads),
	kill("redis", failover, killReads).inShort(),
	kill("command-1", failover, killReads).inShort(),
	kill("query-1", failover, killReads).inShort(),
	kill("replicator-1", failover, killReads).named("kill the working replicator").before(first...),
	kill("haproxy", doorTime, doorTime),
	kill("{primary} {primary-agent}", 2*failover, killReads).named("kill the primary's whole node"),
	failure("two failovers, there and back", "kill {primary}", "wait 7s", "whole", "kill {standby}", "wait 7s").
		bounds(failover, killReads).inShort(),

	freeze("{primary}", "12s", frozenWrites, freezeTime).named("freeze primary").inShort(),
	freeze("{standby}", "8s", frozenWrites, freezeTime).named("freeze standby"),
	freeze("witness", "8s", failover, freezeTime),
	freeze("pgpool", "8s", failover, freezeTime),
	freeze("redis", "8s", failover, freezeTime),
	freeze("command-1", "8s", freezeTime, freezeTime),
	freeze("query-1", "8s", failover, freezeTime),
	freeze("replicator-1", "12s", failover, freezeTime).named("freeze the working replicator").before(first...),
	freeze("replicator-2", "8s", failover, freezeTime).named("freeze the waiting replicator").before(first...),
	freeze("haproxy", "3s", freezeTime, freezeTime),

	failure("old primary started by hand", "stop {primary}", "wait 7s", "start {primary}", "wait 5s").
		undo("start {primary}").bounds(frozenWrites, killReads),
	failure("walreceiver frozen before the kill", "freeze {standby}:walreceiver", "wait 2s", "kill {primary}", "wait 8s", "thaw {standby}:walreceiver", "wait 4s").
		undo("thaw {standby}:walreceiver").bounds(2*frozenWrites, freezeTime),
	failure("standby lags before the kill", "sql {standby} SELECT pg_wal_replay_pause()", "wait 4s", "kill {primary}", "wait 6s",
		"sql {standby} SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()", "wait 3s").
		undo("sql {standby} SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()").bounds(frozenWrites, freezeTime),
	failure("switchover and back", "switchover", "whole", "switchover", "whole"),
	failure("partition: primary alone", "freeze link-1 {primary-link}", "wait 12s", "thaw link-1 {primary-link}", "wait 3s").
		undo("thaw link-1 {primary-link}").bounds(frozenWrites, freezeTime).inShort(),
	failure("partition: standby alone", "freeze link-1 {standby-link}", "wait 10s", "thaw link-1 {standby-link}", "wait 3s").
		undo("thaw link-1 {standby-link}").bounds(frozenWrites, freezeTime),

	failure("standby's disk full", "fill {standby}", "wait 8s", "unfill {standby}", "wait 5s").
		undo("unfill {standby}").bounds(frozenWrites, freezeTime),
	failure("primary's disk full", "fill {primary}", "wait 8s", "unfill {primary}", "wait 5s").
		undo("unfill {primary}").bounds(2*frozenWrites, freezeTime),
	failure("Redis' disk full", "fill redis", "wait 8s", "unfill redis", "wait 3s").undo("unfill redis"),
	failure("slot dropped", "sql primary "+dropSlots, "wait 5s"),
	failure("slot invalidated", "freeze replicator-1 replicator-2", "wait 3s", "sql primary ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "sql primary SELECT pg_reload_conf()",
		"sql primary "+switchWAL, "wait 1s", "sql primary "+switchWAL, "sql primary CHECKPOINT", "sql primary "+terminateSenders, "sql primary CHECKPOINT",
		"sql primary SELECT slot_name, wal_status FROM pg_replication_slots", "thaw replicator-1 replicator-2", "sql primary ALTER SYSTEM RESET max_slot_wal_keep_size", "sql primary SELECT pg_reload_conf()", "wait 5s").
		undo("thaw replicator-1 replicator-2", "sql primary ALTER SYSTEM RESET max_slot_wal_keep_size", "sql primary SELECT pg_reload_conf()"),
	failure("publication altered and put back", "sql primary ALTER PUBLICATION pyramid DROP TABLE bids", "wait 3s", "sql primary ALTER PUBLICATION pyramid ADD TABLE bids", "wait 5s").
		undo("sql primary ALTER PUBLICATION pyramid ADD TABLE bids"),
	failure("FLUSHALL", "flush", "wait 5s"),

	failure("standby's clock 5 s ahead", "clock {standby} +5s", "wait 6s", "clock {standby} 0", "wait 3s").
		undo("clock {standby} 0").bounds(frozenWrites, freezeTime),
	failure("primary's clock 5 s ahead", "clock {primary} +5s", "wait 8s", "clock {primary} 0", "wait 5s").
		undo("clock {primary} 0").bounds(frozenWrites, freezeTime),
	failure("a command's clock 5 s ahead", "clock command-1 +5s", "wait 6s", "clock command-1 0", "wait 3s").undo("clock command-1 0"),
	failure("a query's clock 5 s ahead", "clock query-1 +5s", "wait 6s", "clock query-1 0", "wait 3s").undo("clock query-1 0"),

	{Name: "rolling restart of everything", Steps: []string{"rolling"}, Writes: failover, Reads: killReads, Rates: Rates{300, 1500}, Strict: true},
	failure("everything killed at once", "kill *", "wait 10s").bounds(time.Minute, time.Minute).inShort(),
}

// Statements of drills. The slots of the replicators are the logical ones.
const (
	terminateSenders = `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_type = 'logical' AND active`
	dropSlots        = `DO $$ DECLARE s record; BEGIN FOR s IN SELECT slot_name, active_pid FROM pg_replication_slots WHERE slot_type = 'logical' LOOP
		PERFORM pg_terminate_backend(s.active_pid, 2000); PERFORM pg_drop_replication_slot(s.slot_name); END LOOP; END $$`
	switchWAL = `SELECT pg_switch_wal() FROM (SELECT pg_logical_emit_message(true, 'drill', repeat('x', 100000))) x`
)
