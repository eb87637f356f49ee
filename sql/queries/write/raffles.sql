-- name: AddRaffle :one
-- now() and not clock_timestamp(): the default start and the check must see one time.
-- No row: the end has passed.
INSERT INTO raffles (product_id, seller_id, starts_at, ends_at)
SELECT @product_id::bigint, @seller_id::bigint, coalesce(sqlc.narg(starts_at)::timestamptz, now()), @ends_at::timestamptz
WHERE @ends_at::timestamptz > now()
RETURNING id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price;

-- name: LockRaffleRow :exec
-- A close begins with this: the row before the raffle's lock is the order of everybody who changes a raffle,
-- because an UPDATE by hand locks the row and then fires the trigger.
SELECT id FROM raffles WHERE id = @id FOR NO KEY UPDATE;

-- name: TryRaffleRow :exec
-- The same for the closer, which comes again instead of waiting for somebody who holds the row.
SELECT id FROM raffles WHERE id = @id FOR NO KEY UPDATE NOWAIT;

-- name: LockRaffle :exec
-- Waits for the bids under way and keeps new ones out.
SELECT pg_advisory_xact_lock(raffle_lock(@id));

-- name: CloseRaffle :execrows
-- The trigger change_raffle takes the time anew and adds the price.
UPDATE raffles r SET closed_at = clock_timestamp()
WHERE r.id = @id AND r.closed_at IS NULL AND r.starts_at <= clock_timestamp();

-- name: GetRaffle :one
SELECT id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price FROM raffles WHERE id = @id;

-- name: DueRaffles :many
-- Page by page, so that raffles that can't be closed keep none behind them.
SELECT id, ends_at FROM raffles
WHERE closed_at IS NULL AND ends_at <= now() AND (ends_at, id) > (@after_ends::timestamptz, @after_id::bigint)
ORDER BY ends_at, id LIMIT @most;

-- name: TryCloserLock :one
-- The lock is the session's: it goes when the connection does.
SELECT pg_try_advisory_lock(@key) AS mine;
