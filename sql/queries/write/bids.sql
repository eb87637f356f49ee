-- name: ShareRaffles :one
-- Takes the shared locks of the raffles and returns the raffles whose lock was refused, because another transaction
-- changes their state or waits to change it. The later statements of the transaction leave those raffles alone. This
-- is a statement of its own, so that the snapshot of the next one shows an earlier close. It never waits.
SELECT set_config('pyramid.refused', coalesce(array_agg(t.id) FILTER (WHERE NOT t.granted), '{}')::text, true)::text AS refused
FROM (SELECT r.id, pg_try_advisory_xact_lock_shared(raffle_lock(r.id)) AS granted FROM unnest(@raffle_ids::bigint[]) AS r (id) OFFSET 0) t;

-- name: ShareGrowingRaffles :one
-- ShareRaffles when bids may give raffles sizes that they lack. growing and sizes are the pairs of a raffle and such a
-- size. If a raffle lacks the size, this statement also takes a second lock of the raffle, which is exclusive, so that
-- only one transaction at a time adds sizes (see LimitSizes). If that lock is refused, the raffle is returned too. Without
-- pairs it returns the same as ShareRaffles, which takes half of the time.
SELECT set_config('pyramid.refused', coalesce(array_agg(t.id) FILTER (WHERE NOT t.granted), '{}')::text, true)::text AS refused
FROM (SELECT r.id, pg_try_advisory_xact_lock_shared(raffle_lock(r.id))
             AND (r.id NOT IN (SELECT g.id FROM (SELECT unnest(@growing::bigint[]) AS id, unnest(@sizes::smallint[]) AS size) g
                               WHERE (SELECT b.id FROM bids b WHERE b.raffle_id = g.id AND b.size = g.size LIMIT 1) IS NULL)
                  OR pg_try_advisory_xact_lock(hashint8extended(r.id, 2))) AS granted
      FROM unnest(@raffle_ids::bigint[]) AS r (id) OFFSET 0) t;

-- name: LimitSizes :exec
-- Notes the places of the bids that would give their raffle more than @most sizes. PlaceBids leaves those bids out.
-- ords are the places of the bids whose sizes their raffles may not have. This statement follows ShareGrowingRaffles,
-- which had these raffles as growing. It is a statement of its own after the lock, so that no other transaction can add a
-- size that its snapshot lacks.
WITH RECURSIVE input AS (
    SELECT unnest(@ords::integer[]) AS ord, unnest(@raffle_ids::bigint[]) AS raffle_id, unnest(@sizes::smallint[]) AS size
), fresh AS (
    SELECT i.raffle_id, i.size, row_number() OVER (PARTITION BY i.raffle_id ORDER BY min(i.ord)) AS nth
    FROM input i
    WHERE (SELECT b.id FROM bids b WHERE b.raffle_id = i.raffle_id AND b.size = i.size LIMIT 1) IS NULL
    GROUP BY i.raffle_id, i.size
), step AS (
    -- Goes from size to size through an index, so it reads one bid per size, however many there are.
    SELECT r.raffle_id, (SELECT b.size FROM bids b WHERE b.raffle_id = r.raffle_id ORDER BY b.size LIMIT 1) AS size, 1 AS n
    FROM (SELECT DISTINCT f.raffle_id FROM fresh f) r
    UNION ALL
    SELECT t.raffle_id, (SELECT b.size FROM bids b WHERE b.raffle_id = t.raffle_id AND b.size > t.size ORDER BY b.size LIMIT 1), t.n + 1
    FROM step t WHERE t.size IS NOT NULL AND t.n < @most::integer
), counted AS (
    SELECT t.raffle_id, count(t.size) AS n FROM step t GROUP BY t.raffle_id
)
SELECT set_config('pyramid.oversized', coalesce(array_agg(i.ord), '{}')::text, true)
FROM input i JOIN fresh f ON f.raffle_id = i.raffle_id AND f.size = i.size JOIN counted c ON c.raffle_id = f.raffle_id
WHERE c.n + f.nth > @most::integer;

-- name: PlaceBids :many
-- Places many bids in one statement, after ShareRaffles and LimitSizes. A bid that may not be placed does not affect
-- the other bids. ids and created_at follow the order of the input. Rows are inserted in the order of turns, which is
-- the order of the keys, so that batches with the same keys wait for each other but never deadlock. Returns one row
-- per input, in the order of the input. An empty key means no key. firsts is false for a bid whose key an earlier bid
-- of this statement has. If placed is false and no other column says why, the key is taken: in bids, in
-- cancelled_bids or by another bid of the statement (see FindKeys). If another transaction commits the same key
-- first, this one fails with unique_violation and is tried again. There is no ON CONFLICT, because it would insert
-- every row speculatively, at a third more work and one more WAL record a bid.
WITH stamped AS MATERIALIZED (
    SELECT k.ord, k.raffle_id, k.user_id, k.size, k.price, k.quantity, k.key, k.hash, k.first, k.turn,
           k.starts_at, k.ends_at, k.closed_at, k.user_known, k.refused, k.oversized,
           CASE WHEN k.starts_at IS NOT NULL AND NOT k.refused THEN nextval('bid_ids') END AS id, clock_timestamp() AS created_at
    FROM (SELECT i.ord, i.raffle_id, i.user_id, i.size, i.price, i.quantity, i.key, i.hash, i.first, i.turn,
                 r.starts_at, r.ends_at, r.closed_at,
                 (SELECT u.id FROM users u WHERE u.id = i.user_id LIMIT 1) IS NOT NULL AS user_known,
                 -- In a subquery a setting is read once and not for each bid.
                 i.raffle_id = ANY ((SELECT current_setting('pyramid.refused')::bigint[])::bigint[]) AS refused,
                 -- The setting is empty outside of the transaction in which it was set.
                 i.ord = ANY ((SELECT coalesce(nullif(current_setting('pyramid.oversized', true), ''), '{}')::integer[])::integer[]) AS oversized
          FROM (SELECT unnest(@raffle_ids::bigint[]) AS raffle_id, unnest(@user_ids::bigint[]) AS user_id,
                       unnest(@sizes::smallint[]) AS size, unnest(@prices::integer[]) AS price,
                       unnest(@quantities::integer[]) AS quantity, unnest(@keys::text[]) AS key,
                       unnest(@hashes::bytea[]) AS hash, unnest(@firsts::boolean[]) AS first,
                       unnest(@turns::integer[]) AS turn, generate_subscripts(@raffle_ids::bigint[], 1) AS ord) i
               LEFT JOIN LATERAL (SELECT q.starts_at, q.ends_at, q.closed_at FROM raffles q WHERE q.id = i.raffle_id LIMIT 1) r ON true
          ORDER BY i.ord OFFSET 0) k
), placed AS (
    INSERT INTO bids (raffle_id, id, user_id, size, price, quantity, created_at, idempotency_key, request_hash)
    SELECT s.raffle_id, s.id, s.user_id, s.size, s.price, s.quantity, s.created_at,
           nullif(s.key, ''), CASE WHEN s.key <> '' THEN s.hash END
    FROM stamped s
    WHERE s.first AND NOT s.refused AND NOT s.oversized AND s.user_known AND s.closed_at IS NULL AND s.created_at >= s.starts_at AND s.created_at < s.ends_at
      -- With LIMIT these stay probes of an index. A join that was planned while a table was nearly empty would later
      -- go through the whole index for each bid.
      AND (SELECT b.id FROM bids b WHERE b.raffle_id = s.raffle_id AND b.user_id = s.user_id AND b.idempotency_key = s.key LIMIT 1) IS NULL
      AND (SELECT c.id FROM cancelled_bids c WHERE c.raffle_id = s.raffle_id AND c.user_id = s.user_id AND c.idempotency_key = s.key LIMIT 1) IS NULL
    ORDER BY s.turn
    RETURNING id
)
SELECT s.refused::boolean AS raffle_refused,
       (s.starts_at IS NOT NULL)::boolean AS raffle_known,
       s.user_known::boolean AS user_known,
       coalesce(s.closed_at IS NULL AND s.created_at >= s.starts_at AND s.created_at < s.ends_at, false)::boolean AS raffle_open,
       s.oversized::boolean AS oversized,
       (p.id IS NOT NULL)::boolean AS placed,
       coalesce(s.id, 0)::bigint AS id,
       s.created_at::timestamptz AS created_at
FROM stamped s LEFT JOIN placed p ON p.id = s.id
ORDER BY s.ord;

-- name: RefuseCancelled :exec
-- Fails if PlaceBids has placed a bid under a key whose bid was placed and cancelled while PlaceBids waited. The
-- snapshot of PlaceBids is older than both, but the snapshot of this statement is not.
SELECT refuse_cancelled(@raffle_ids::bigint[], @user_ids::bigint[], @keys::text[]);

-- name: FindKeys :many
-- The bids that were accepted under keys, cancelled or not, by their place in the input. A bid moves from
-- one table to the other in one transaction, so one statement finds it exactly once.
WITH k AS MATERIALIZED (
    SELECT unnest(@raffle_ids::bigint[]) AS raffle_id, unnest(@user_ids::bigint[]) AS user_id, unnest(@keys::text[]) AS key,
           generate_subscripts(@keys::text[], 1) AS ord
)
SELECT k.ord::integer AS ord, b.id, b.size, b.price, b.quantity, b.created_at, b.request_hash
FROM k CROSS JOIN LATERAL (SELECT * FROM bids f
    WHERE f.raffle_id = k.raffle_id AND f.user_id = k.user_id AND f.idempotency_key = k.key LIMIT 1) b
UNION ALL
SELECT k.ord::integer, c.id, c.size, c.price, c.quantity, c.created_at, c.request_hash
FROM k CROSS JOIN LATERAL (SELECT * FROM cancelled_bids f
    WHERE f.raffle_id = k.raffle_id AND f.user_id = k.user_id AND f.idempotency_key = k.key LIMIT 1) c;

-- name: CancelBid :many
-- Moves the user's bid to cancelled_bids if the raffle is open. Otherwise it returns no row, and FindBid tells why.
-- Follows ShareRaffles.
WITH moved AS (
    DELETE FROM bids b USING raffles r
    WHERE b.raffle_id = @raffle_id AND b.id = @id AND b.user_id = @user_id AND r.id = @raffle_id
      AND current_setting('pyramid.refused') = '{}' AND r.closed_at IS NULL AND r.ends_at > clock_timestamp()
    RETURNING b.*
)
INSERT INTO cancelled_bids (raffle_id, id, user_id, size, price, quantity, created_at, idempotency_key, request_hash, cancelled_at)
SELECT m.raffle_id, m.id, m.user_id, m.size, m.price, m.quantity, m.created_at, m.idempotency_key, m.request_hash, clock_timestamp()
FROM moved m
RETURNING id;

-- name: FindBid :one
-- Whose bid this is, and whether it was cancelled.
SELECT b.user_id, false AS cancelled FROM bids b WHERE b.raffle_id = @raffle_id AND b.id = @id
UNION ALL
SELECT c.user_id, true FROM cancelled_bids c WHERE c.raffle_id = @raffle_id AND c.id = @id;

-- name: BeforeCommit :exec
-- The last statement of a transaction before its commit, if CommitPosition follows.
SELECT before_commit();

-- name: CommitPosition :one
-- A position at or past the end of the commit before it on the same connection. Readers can reach it even while the
-- commits of others wait for a standby.
SELECT commit_position()::text AS position;

-- name: NoteTrace :exec
-- Tells the replicator which span the transaction belongs to, in the form of the header traceparent.
SELECT pg_logical_emit_message(true, 'pyramid.trace', @traceparent::text);

-- name: ConfirmSeen :exec
-- Makes the transaction write, so that its commit waits for the synchronous standby. Whatever an earlier statement has
-- seen was committed before, so the standby then holds that as well. Without this, a commit whose wait was cut off by a
-- restart could be shown and later be lost.
SELECT pg_logical_emit_message(true, 'pyramid.confirm', '');
