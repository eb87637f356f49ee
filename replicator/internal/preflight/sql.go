package preflight

// The statements on the catalogs of the server, which sqlc does not know.
const (
	readSettings = `SELECT current_setting('wal_level'),
		(SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
		(SELECT reset_val::bigint FROM pg_settings WHERE name = 'wal_sender_timeout')`

	hasPublication = `SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = $1)`

	readRole = `SELECT current_user::text, rolreplication OR rolsuper, pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
		current_setting('synchronous_standby_names') <> ''
	FROM pg_roles WHERE rolname = current_user`

	// readable and callable return the names of what is missing or not granted.
	readable = `SELECT name FROM unnest($1::text[]) name WHERE NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname || '.' || c.relname = name AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))`
	callable = `SELECT name FROM unnest($1::text[]) name WHERE NOT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname || '.' || p.proname = name AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE'))`

	countSlots = `SELECT current_setting('max_replication_slots')::int, (SELECT count(*)::int FROM pg_replication_slots),
		current_setting('max_wal_senders')::int, (SELECT count(*)::int FROM pg_stat_replication)`

	// longTransactions returns how many there are, and of the oldest its process, 0 for a prepared one, its name if it is
	// prepared, and its age in seconds.
	longTransactions = `SELECT count(*)::int, coalesce((array_agg(pid ORDER BY begun))[1], 0), coalesce((array_agg(gid ORDER BY begun))[1], ''),
		coalesce(extract(epoch FROM clock_timestamp() - min(begun)), 0)::bigint
	FROM (SELECT pid, '' AS gid, xact_start AS begun FROM pg_stat_activity WHERE backend_xid IS NOT NULL
		UNION ALL SELECT 0, gid, prepared FROM pg_prepared_xacts) open
	WHERE begun < clock_timestamp() - interval '10 s'`

	// bidsSize returns the rows and blocks that were counted last, -1 and 0 if never, and the blocks and bytes now.
	bidsSize = `SELECT reltuples::bigint, relpages::bigint, pg_relation_size(oid) / current_setting('block_size')::bigint, pg_relation_size(oid) FROM pg_class WHERE oid = 'public.bids'::regclass`

	readClock = `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`
)
