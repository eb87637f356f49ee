-- The lists once more, for comparison only. Their expressions match no index.

-- name: ScanBidsNewest :many
SELECT raffle_id, id, user_id, size, price, quantity, created_at FROM bids
WHERE raffle_id + 0 = @raffle_id::bigint AND size + 0 = @size::smallint
  AND (created_at + interval '0', id) < (@before_created_at::timestamptz, @before_id::bigint)
ORDER BY created_at DESC, id DESC
LIMIT @row_limit::integer;

-- name: ScanBidsHighest :many
SELECT raffle_id, id, user_id, size, price, quantity, created_at FROM bids
WHERE raffle_id + 0 = @raffle_id::bigint AND size + 0 = @size::smallint
  AND (-price + 0, created_at, id) > (@after_negative_price::integer, @after_created_at::timestamptz, @after_id::bigint)
ORDER BY -price, created_at, id
LIMIT @row_limit::integer;

-- name: ScanBidsOfSize :many
SELECT raffle_id, id, user_id, size, price, quantity, created_at FROM bids
WHERE size + 0 = @size::smallint AND (created_at + interval '0', id) < (@before_created_at::timestamptz, @before_id::bigint)
ORDER BY created_at DESC, id DESC
LIMIT @row_limit::integer;

-- name: ScanRaffles :many
SELECT id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price FROM raffles
WHERE (ends_at + interval '0', id) < (@before_ends_at::timestamptz, @before_id::bigint)
  AND (@status::text = 'all'
    OR (@status::text = 'open' AND closed_at IS NULL AND starts_at <= now())
    OR (@status::text = 'closed' AND closed_at IS NOT NULL))
ORDER BY ends_at + interval '0' DESC, id DESC
LIMIT @row_limit::integer;
