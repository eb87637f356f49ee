-- name: RaffleBounds :many
-- Ids that cut the raffles into ranges with equal numbers of raffles, each from one id up to the next.
SELECT min(id)::bigint AS id FROM (SELECT id, ntile(@ranges::integer) OVER (ORDER BY id) AS part FROM raffles) r
GROUP BY part ORDER BY part;

-- name: SizesWithBids :many
-- Each size costs one probe of the index, so that the bids are not scanned.
WITH RECURSIVE s AS (
    SELECT min(size) AS size FROM bids
    UNION ALL
    SELECT (SELECT min(b.size) FROM bids b WHERE b.size > s.size) FROM s WHERE s.size IS NOT NULL)
SELECT size::smallint AS size FROM s WHERE size IS NOT NULL;

-- name: SizeFloors :many
-- For each size, the time of its bid that has @kept newer ones; 1970 if there is none.
SELECT s.size::smallint AS size,
       coalesce((SELECT b.created_at FROM bids b WHERE b.size = s.size ORDER BY b.created_at DESC OFFSET @kept::integer LIMIT 1),
           'epoch'::timestamptz)::timestamptz AS floor
FROM unnest(@sizes::smallint[]) s(size);

-- name: NextRaffles :one
-- The end of the next range of raffles. The range has at most @raffles + 1 raffles, and ends at the raffle of its bid
-- number @bids + 1 if that comes first.
SELECT least(
    coalesce((SELECT id FROM raffles WHERE id > @after::bigint ORDER BY id OFFSET @raffles::bigint LIMIT 1), @none::bigint),
    coalesce((SELECT raffle_id FROM bids WHERE raffle_id > @after::bigint ORDER BY raffle_id OFFSET @bids::bigint LIMIT 1), @none::bigint)
)::bigint AS upto;

-- name: LastHeartbeat :one
SELECT number, nonce, (extract(epoch FROM at) * 1000000)::bigint AS at FROM heartbeats ORDER BY number DESC LIMIT 1;

-- name: HeartbeatsAfter :many
SELECT number, nonce, (extract(epoch FROM at) * 1000000)::bigint AS at FROM heartbeats WHERE number > @number ORDER BY number;

-- name: Pulse :one
-- The number of the newest heartbeat, and the age in microseconds of the first heartbeat after a number; 0 if there is
-- none.
SELECT coalesce(max(number), 0)::bigint AS newest,
       coalesce(extract(epoch FROM clock_timestamp() - min(at) FILTER (WHERE number > @reached)) * 1000000, 0)::bigint AS behind
FROM heartbeats WHERE number >= @reached;

-- name: Remembers :one
-- forgot: the table goes back as far as the heartbeat of the checkpoint but lacks this heartbeat. later: the second
-- heartbeat after it, or a later one, begins at or before the position of the checkpoint. Each heartbeat begins after
-- the commit of the one before, so the first heartbeat after it was committed before that position.
SELECT (NOT EXISTS (SELECT 1 FROM heartbeats h WHERE h.number = sqlc.arg(number)::bigint AND h.nonce = sqlc.arg(nonce)::bigint)
        AND sqlc.arg(number)::bigint >= coalesce((SELECT min(h.number) FROM heartbeats h), 0))::boolean AS forgot,
       EXISTS (SELECT 1 FROM heartbeats h WHERE h.number > sqlc.arg(number)::bigint + 1 AND h.lsn <= (sqlc.arg(held)::text)::pg_lsn)::boolean AS later;

-- name: HasCommit :one
-- Whether the WAL has a commit at this position and time; null if the WAL does not go back that far.
SELECT wal.committed((@begins::text)::pg_lsn, @at::timestamptz) AS committed;

-- name: CommitsBetween :one
-- How many commit records begin between two positions, and the end of the last record there ('' if there is none).
SELECT coalesce(w.reached::text, '')::text AS reached, coalesce(array_length(w.begins, 1), 0)::integer AS commits
FROM wal.commits((@after::text)::pg_lsn, (@upto::text)::pg_lsn) w;

-- name: LastTimeline :one
SELECT timeline::bigint AS timeline FROM heartbeats ORDER BY number DESC LIMIT 1;

-- name: Timelines :many
-- The timelines in the table, which a standby has too.
SELECT timeline::bigint AS timeline, parent::bigint AS parent, begins::text AS begins FROM timelines;

-- name: TimelineBranches :many
-- The branches that lead to a timeline, from the history file of the primary.
SELECT b.timeline::bigint AS timeline, b.parent::bigint AS parent, b.begins::text AS begins
FROM timeline_branches(@timeline::integer) b;

-- name: FlushPosition :one
-- A standby has no such position, so this fails there.
SELECT pg_current_wal_flush_lsn()::text AS lsn;
