-- name: NodePosition :one
-- Where the answering node stands, and the newest heartbeat that it shows. It must be a statement of its own
-- before the data: in one statement the position can run past the snapshot. Nothing volatile here, or
-- pgpool-II asks the primary. known: a position that the primary that was started then has answered before.
SELECT p.timeline::integer AS timeline, p.lsn::text AS lsn, p.flushed::text AS flushed, p.standby::boolean AS standby,
       p.number::bigint AS number, p.nonce::bigint AS nonce, p.at::bigint AS beat_at, p.started::timestamptz AS started
FROM node_position((@known::text)::pg_lsn, @started::timestamptz) p;

-- name: NodeStarted :one
-- Tells the answering server apart from others.
SELECT pg_postmaster_start_time()::timestamptz AS started;
