package wal

// The statements on the catalogs of the server, which sqlc does not know. The statements on tables are in
// sql/queries/replication.
const (
	// listSlots lists the logical slots of this database that begin with a prefix. Older servers have no column failover,
	// but every row can be turned into JSON.
	listSlots = `SELECT slot_name::text, coalesce(wal_status = 'lost', false) OR plugin <> 'pgoutput',
		coalesce((to_jsonb(s) ->> 'failover')::boolean, false),
		coalesce(active_pid, 0), coalesce(confirmed_flush_lsn - '0/0', 0)::bigint,
		coalesce(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), restart_lsn), 0)::bigint
	FROM pg_replication_slots s
	WHERE slot_type = 'logical' AND database = current_database() AND starts_with(slot_name::text, $1)`

	keepLimit = `SELECT greatest(setting::bigint, 0) * 1048576 FROM pg_settings WHERE name = 'max_slot_wal_keep_size'`
	dropSlot  = `SELECT pg_drop_replication_slot($1)`
	terminate = `SELECT pg_terminate_backend($1, 5000)` // waits up to five seconds for the end of the process

	listBlockers = `SELECT a.pid, coalesce(a.usename, '?')::text, coalesce(nullif(a.application_name, ''), '?'),
		coalesce(a.state, '?'), coalesce(extract(epoch FROM clock_timestamp() - a.xact_start) * 1000, 0)::bigint
	FROM unnest(pg_blocking_pids($1)) b JOIN pg_stat_activity a ON a.pid = b ORDER BY a.xact_start`

	// isRunning says whether a transaction still holds the lock on its own number, which the server releases last.
	isRunning = `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND granted
		AND mode = 'ExclusiveLock' AND transactionid = $1::text::xid)`

	// readSight reads how far a server is, how many transactions have had a number and how many rows of this database were
	// changed. A standby counts neither.
	readSight = `SELECT CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn() - '0/0', 0)
			ELSE pg_current_wal_flush_lsn() - '0/0' END::bigint,
		CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_snapshot_xmax(pg_current_snapshot())::text::bigint END,
		coalesce((SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = current_database()), 0)`

	readClock = `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

	// askFlushed counts the standbys as commits do: if the setting names a number, that many standbys must have flushed a
	// commit, otherwise one. Those that may count are 'sync' or 'quorum' (src/backend/replication/syncrep.c). The view
	// pg_stat_replication reads this function and much more.
	askFlushed = `WITH setting AS (SELECT names, coalesce(substring(names FROM '(?i)^\s*(?:(?:any|first)\s+)?(\d+)\s*\(')::int, 1) AS wanted
		FROM current_setting('synchronous_standby_names') AS names)
	SELECT names <> '', coalesce((SELECT flush_lsn - '0/0' FROM pg_stat_get_wal_senders() WHERE sync_state IN ('sync', 'quorum')
			ORDER BY flush_lsn DESC OFFSET wanted - 1 LIMIT 1), 0)::bigint, (pg_current_wal_flush_lsn() - '0/0')::bigint
	FROM setting`

	importSnapshot = `SET TRANSACTION SNAPSHOT '%s'`
	// countUnsettled counts the commits that the snapshot shows and that may not be in the commit log yet. A commit that waits
	// for a standby is there. A role that may not see what other sessions wait for counts such a commit, too.
	countUnsettled = `SELECT count(*)
	FROM pg_current_snapshot() s, generate_series(pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint - 1) x
	WHERE pg_visible_in_snapshot(x::text::xid8, s) AND pg_xact_status(x::text::xid8) = 'in progress'
	AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.backend_xid = (x % 4294967296)::text::xid AND a.wait_event = 'SyncRep')`
)

// fingerprint is made of rows of the catalog. A row that is removed and added again has a new oid or a new xmin, and a
// row that is changed has a new xmin. Of pg_class only the oid, the name, the replica identity and the kind count,
// because the xmin there also changes when a column is added. Sources: PostgreSQL documentation, chapters 53.40 to
// 53.42.
const fingerprint = `
WITH ours AS (
	SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relreplident, c.relkind
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = 'public' AND c.relname IN ('bids', 'raffles', 'products')),
parts AS (
	SELECT 1 AS kind, p.oid AS id, p.xmin::text AS version FROM pg_publication p WHERE p.pubname = $1
	UNION ALL SELECT 2, r.oid, r.xmin::text FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1
	UNION ALL SELECT 3, s.oid, s.xmin::text FROM pg_publication_namespace s JOIN pg_publication p ON p.oid = s.pnpubid WHERE p.pubname = $1
	UNION ALL SELECT 4, o.oid, o.name || o.relreplident::text || o.relkind::text FROM ours o
	UNION ALL SELECT 5, i.inhrelid, i.xmin::text FROM pg_inherits i JOIN ours o ON o.oid = i.inhparent)
SELECT (SELECT left(md5(string_agg(concat_ws(' ', kind, id, version), ',' ORDER BY kind, id)), 16) FROM parts),
	coalesce((SELECT bool_and(pubinsert AND pubupdate AND pubdelete AND pubtruncate) FROM pg_publication WHERE pubname = $1), false)
	AND (SELECT count(*) = 3 FROM pg_publication_tables t JOIN ours o ON o.name = t.schemaname || '.' || t.tablename
		WHERE t.pubname = $1 AND o.relreplident = 'f' AND t.rowfilter IS NULL),
	(SELECT coalesce(array_agg(oid::bigint ORDER BY oid), '{}') FROM ours), (SELECT coalesce(array_agg(name ORDER BY oid), '{}') FROM ours)`
