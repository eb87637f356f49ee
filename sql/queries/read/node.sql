-- name: NodePosition :one
-- The position of the node that answers, and the newest heartbeat that it shows. This must be a statement of its own
-- before the one that reads the data, because within one statement the position can be past the snapshot. It may call
-- nothing volatile, otherwise pgpool-II sends it to the primary. known is a position that a primary has answered
-- before; started is the start of that server.
SELECT p.timeline::integer AS timeline, p.lsn::text AS lsn, p.flushed::text AS flushed, p.standby::boolean AS standby,
       p.number::bigint AS number, p.nonce::bigint AS nonce, p.at::bigint AS beat_at, p.started::timestamptz AS started
FROM node_position((@known::text)::pg_lsn, @started::timestamptz) p;

-- name: NodeStarted :one
-- The start of the server that answers, which tells servers apart.
SELECT pg_postmaster_start_time()::timestamptz AS started;
