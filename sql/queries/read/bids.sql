-- name: BidsNewest :many
-- Bids of one raffle and size, newest first, after a keyset. None if there is no such raffle, because the bids of a
-- deleted raffle may be left.
SELECT raffle_id, id, user_id, size, price, quantity, created_at FROM bids
WHERE raffle_id = @raffle_id AND size = @size AND EXISTS (SELECT 1 FROM raffles WHERE raffles.id = @raffle_id)
  AND (created_at, id) < (@before_created_at::timestamptz, @before_id::bigint)
ORDER BY created_at DESC, id DESC
LIMIT @row_limit::integer;

-- name: BidsHighest :many
-- Bids of one raffle and size, highest price first and earliest first among equals, after a keyset. None if there is
-- no such raffle.
SELECT raffle_id, id, user_id, size, price, quantity, created_at FROM bids
WHERE raffle_id = @raffle_id AND size = @size AND EXISTS (SELECT 1 FROM raffles WHERE raffles.id = @raffle_id)
  AND (-price, created_at, id) > (@after_negative_price::integer, @after_created_at::timestamptz, @after_id::bigint)
ORDER BY -price, created_at, id
LIMIT @row_limit::integer;

-- name: BidsOfSize :many
-- Bids of one size over all raffles, newest first, after a keyset.
SELECT raffle_id, id, user_id, size, price, quantity, created_at FROM bids
WHERE size = @size AND (created_at, id) < (@before_created_at::timestamptz, @before_id::bigint)
ORDER BY created_at DESC, id DESC
LIMIT @row_limit::integer;

-- name: BidsOfUser :many
-- Bids of one user, newest first, after a keyset.
SELECT raffle_id, id, user_id, size, price, quantity, created_at FROM bids
WHERE user_id = @user_id AND (created_at, id) < (@before_created_at::timestamptz, @before_id::bigint)
ORDER BY created_at DESC, id DESC
LIMIT @row_limit::integer;

-- name: Bid :one
-- One bid, and whether its raffle is closed.
SELECT b.raffle_id, b.id, b.user_id, b.size, b.price, b.quantity, b.created_at,
       EXISTS (SELECT 1 FROM raffles r WHERE r.id = b.raffle_id AND r.closed_at IS NOT NULL) AS final
FROM bids b WHERE b.raffle_id = @raffle_id AND b.id = @id;
