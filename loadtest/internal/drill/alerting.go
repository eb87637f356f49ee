package drill

import "time"

// sight is for what lasts until an alert says so.
const sight = 4 * time.Minute

// alerting are drills that last until the alerts fire that tell an operator of the failure.
var alerting = []Drill{
	// An operator knows within 15 s that Redis stands still.
	failure("all replicators frozen", "freeze replicator-1 replicator-2", "fires ReadModelLag 15s", "thaw replicator-1 replicator-2", "wait 3s").
		undo("thaw replicator-1 replicator-2").may("TargetDown").inShort(),
	failure("replicators stopped", "stop replicator-1 replicator-2", "fires TargetDown ReadModelLag NoReplicatorStreams SlotUnused",
		"start replicator-1 replicator-2", "wait 3s").undo("start replicator-1 replicator-2"),
	failure("query stopped", "stop query-1 query-2", "fires FrontDoorWithoutServer TargetDown LookupsFail", "start query-1 query-2", "wait 3s").
		undo("start query-1 query-2").reads(sight),
	failure("both nodes stopped", "stop {standby}", "stop {primary}", "fires NodeDown WritableNodes FrontDoorWithoutServer NoBidAccepted CloserMissing BidsFail",
		"start {primary}", "start {standby}", "wait 3s").undo("start {primary} {standby}").writes(sight).reads(decisions).may("StandbyNotStreaming", "LookupsFail"),
	failure("standby stopped", "stop {standby}", "fires NodeDown StandbyNotStreaming SyncRelaxed", "start {standby}", "wait 3s").undo("start {standby}"),
	failure("replay paused", "sql {standby} SELECT pg_wal_replay_pause()", "fires ReplicationLag", "sql {standby} "+resume, "wait 3s").undo("sql {standby} " + resume),
	failure("Redis stopped", "stop redis", "fires RedisDown", "start redis", "wait 5s").undo("start redis").may("NoReplicatorStreams", "ReadModelLag"),
	failure("Redis' disk full", "fill redis", "fires RedisNotDurable DiskFills", "unfill redis", "wait 5s").undo("unfill redis").may("ReadModelLag", "NoReplicatorStreams"),
	failure("pgpool stopped", "stop pgpool", "fires PoolerDown", "start pgpool", "wait 3s").undo("start pgpool"),
	failure("raffles locked", "hold LOCK TABLE raffles IN ACCESS EXCLUSIVE MODE", "fires TransactionBlocks NoBidAccepted", "release", "wait 3s").
		undo("release").writes(sight).may("BidsFail", "CloserMissing", "LookupsFail"),
	failure("rebuild waits", "hold UPDATE products SET name = name WHERE id = 1", "flush", "fires RebuildWaits TransactionBlocks", "release", "wait 5s").
		undo("release"),
}
