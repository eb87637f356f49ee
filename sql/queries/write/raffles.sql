-- name: AddRaffle :one
-- now() and not clock_timestamp(), because the default start and the check must see the same time. Returns no row if
-- the end has passed.
INSERT INTO raffles (product_id, seller_id, starts_at, ends_at)
SELECT @product_id::bigint, @seller_id::bigint, coalesce(sqlc.narg(starts_at)::timestamptz, now()), @ends_at::timestamptz
WHERE @ends_at::timestamptz > now()
RETURNING id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price;

-- name: AddRaffleOnce :one
-- AddRaffle with a key. It also returns no row if the key is not claimed (see ClaimKey).
WITH added AS (
    INSERT INTO raffles (product_id, seller_id, starts_at, ends_at)
    SELECT @product_id::bigint, @seller_id::bigint, coalesce(sqlc.narg(starts_at)::timestamptz, now()), @ends_at::timestamptz
    WHERE @ends_at::timestamptz > now()
      AND EXISTS (SELECT FROM idempotency_keys c WHERE c.scope = @scope AND c.key = @key AND c.answer IS NULL)
    RETURNING id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price
), remembered AS (
    UPDATE idempotency_keys k SET answer = jsonb_build_object('id', a.id, 'product_id', a.product_id, 'seller_id', a.seller_id,
        'starts_at', a.starts_at, 'ends_at', a.ends_at)
    FROM added a WHERE k.scope = @scope AND k.key = @key
)
SELECT a.id, a.product_id, a.seller_id, a.starts_at, a.ends_at, a.closed_at, a.closing_price FROM added a;

-- name: LockRaffleRow :exec
-- A close begins with this. Every change of a raffle locks the row first and takes the raffle's lock second, because
-- an UPDATE by hand locks the row and then fires the trigger, which takes the raffle's lock.
SELECT id FROM raffles WHERE id = @id FOR NO KEY UPDATE;

-- name: TryRaffleRow :exec
-- The same for the closer, which tries again later instead of waiting for the row.
SELECT id FROM raffles WHERE id = @id FOR NO KEY UPDATE NOWAIT;

-- name: LockRaffle :exec
-- Waits for the bids under way and keeps new ones out.
SELECT pg_advisory_xact_lock(raffle_lock(@id));

-- name: CloseRaffle :execrows
-- The trigger change_raffle takes the time anew and adds the price. The end of a raffle may have been moved since the closer
-- has found the raffle due.
UPDATE raffles r SET closed_at = clock_timestamp()
WHERE r.id = @id AND r.closed_at IS NULL AND r.starts_at <= clock_timestamp()
  AND (NOT @by_time::boolean OR r.ends_at <= clock_timestamp());

-- name: ChangeRaffle :execrows
-- Moves the times of a raffle; null means unchanged. Follows LockRaffleRow and LockRaffle, so that every bid is wholly
-- before or wholly after it. A raffle whose end has passed is over, closed or not, because bids were refused since.
UPDATE raffles r SET starts_at = coalesce(sqlc.narg(starts_at)::timestamptz, r.starts_at),
    ends_at = coalesce(sqlc.narg(ends_at)::timestamptz, r.ends_at)
WHERE r.id = @id AND r.closed_at IS NULL AND r.ends_at > clock_timestamp()
  AND (r.starts_at > clock_timestamp() OR coalesce(sqlc.narg(starts_at)::timestamptz, r.starts_at) = r.starts_at)
  AND coalesce(sqlc.narg(ends_at)::timestamptz, r.ends_at) > coalesce(sqlc.narg(starts_at)::timestamptz, r.starts_at)
  AND coalesce(sqlc.narg(ends_at)::timestamptz, r.ends_at) > clock_timestamp();

-- name: RaffleState :one
-- The raffle, and what may have kept it from being changed.
SELECT r.id, r.product_id, r.seller_id, r.starts_at, r.ends_at, r.closed_at, r.closing_price,
       (r.closed_at IS NOT NULL OR r.ends_at <= clock_timestamp())::boolean AS over,
       (r.starts_at <= clock_timestamp())::boolean AS started
FROM raffles r WHERE r.id = @id;

-- name: GetRaffle :one
SELECT id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price FROM raffles WHERE id = @id;

-- name: DueRaffles :many
-- The next page of due raffles, so that raffles that can't be closed do not hide the raffles after them.
SELECT id, ends_at FROM raffles
WHERE closed_at IS NULL AND ends_at <= now() AND (ends_at, id) > (@after_ends::timestamptz, @after_id::bigint)
ORDER BY ends_at, id LIMIT @most;

-- name: TryCloserLock :one
-- The lock belongs to the session and ends with the connection.
SELECT pg_try_advisory_lock(@key) AS mine;
