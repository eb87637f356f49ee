-- name: NodePosition :one
-- Where the answering node stands, and the newest heartbeat that it shows. It must be a statement of its own
-- before the data: in one statement the position can run past the snapshot. Nothing volatile here, or
-- pgpool-II asks the primary.
SELECT node_lsn()::text AS lsn, node_is_standby()::boolean AS standby,
       (CASE WHEN node_is_standby() THEN timeline ELSE current_timeline() END)::integer AS timeline,
       number, nonce, (extract(epoch FROM at) * 1000000)::bigint AS beat_at,
       (extract(epoch FROM now() - at) * 1000)::bigint AS probe_age_ms
FROM heartbeats ORDER BY number DESC LIMIT 1;
