-- name: AddRaffle :one
-- now() and not clock_timestamp(): the default start and the check must see one time.
-- No row: the end has passed.
INSERT INTO raffles (product_id, seller_id, starts_at, ends_at)
SELECT @product_id::bigint, @seller_id::bigint, coalesce(sqlc.narg(starts_at)::timestamptz, now()), @ends_at::timestamptz
WHERE @ends_at::timestamptz > now()
RETURNING id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price;

-- name: LockRaffle :exec
-- A close begins with this, in a statement of its own: it waits for every bid that holds the raffle FOR
-- SHARE, so that CloseRaffle's snapshot has them all and its time is after theirs.
SELECT id FROM raffles WHERE id = @id FOR NO KEY UPDATE;

-- name: LockAllRaffles :exec
-- Bids that come while another holds the raffle overtake a waiting LockRaffle for ever, since shared row
-- locks don't queue. Table locks do: new bids wait until this transaction ends.
LOCK TABLE raffles IN EXCLUSIVE MODE;

-- name: SetStatementTimeout :exec
-- Of the statements that follow in this transaction.
SELECT set_config('statement_timeout', @timeout, true);

-- name: CloseRaffle :execrows
-- Goes from size to size through bids_highest, so it reads one bid per size, however many there are.
WITH RECURSIVE highest AS (
    (SELECT b.size, b.price FROM bids b WHERE b.raffle_id = @id ORDER BY b.size, (-b.price) LIMIT 1)
    UNION ALL
    SELECT n.size, n.price FROM highest h CROSS JOIN LATERAL (
        SELECT b.size, b.price FROM bids b WHERE b.raffle_id = @id AND b.size > h.size
        ORDER BY b.size, (-b.price) LIMIT 1) n
)
UPDATE raffles r SET closed_at = clock_timestamp(), closing_price = (SELECT max(h.price) FROM highest h)
WHERE r.id = @id AND r.closed_at IS NULL AND r.starts_at <= clock_timestamp();

-- name: GetRaffle :one
SELECT id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price FROM raffles WHERE id = @id;

-- name: DueRaffles :many
SELECT id, ends_at FROM raffles WHERE closed_at IS NULL AND ends_at <= now() ORDER BY ends_at LIMIT @most;

-- name: TryCloserLock :one
-- The lock is the session's: it goes when the connection does.
SELECT pg_try_advisory_lock(@key) AS mine;
