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
-- Bids of one user, newest first, after a keyset; whether the raffle of each is closed, and whether the bid is the best of
-- its raffle and size, which is one probe of bids_highest.
SELECT b.raffle_id, b.id, b.user_id, b.size, b.price, b.quantity, b.created_at,
       EXISTS (SELECT 1 FROM raffles r WHERE r.id = b.raffle_id AND r.closed_at IS NOT NULL) AS closed,
       coalesce(b.id = (SELECT h.id FROM bids h WHERE h.raffle_id = b.raffle_id AND h.size = b.size
                        ORDER BY (-h.price), h.created_at, h.id LIMIT 1), false)::boolean AS best
FROM bids b
WHERE b.user_id = @user_id AND (b.created_at, b.id) < (@before_created_at::timestamptz, @before_id::bigint)
ORDER BY b.created_at DESC, b.id DESC
LIMIT @row_limit::integer;

-- name: BidsOfUserInRaffle :many
-- As BidsOfUser, in one raffle.
SELECT b.raffle_id, b.id, b.user_id, b.size, b.price, b.quantity, b.created_at,
       EXISTS (SELECT 1 FROM raffles r WHERE r.id = b.raffle_id AND r.closed_at IS NOT NULL) AS closed,
       coalesce(b.id = (SELECT h.id FROM bids h WHERE h.raffle_id = b.raffle_id AND h.size = b.size
                        ORDER BY (-h.price), h.created_at, h.id LIMIT 1), false)::boolean AS best
FROM bids b
WHERE b.user_id = @user_id AND b.raffle_id = @raffle_id
  AND (b.created_at, b.id) < (@before_created_at::timestamptz, @before_id::bigint)
ORDER BY b.created_at DESC, b.id DESC
LIMIT @row_limit::integer;

-- name: Bid :one
-- One bid, and whether its raffle is closed.
SELECT b.raffle_id, b.id, b.user_id, b.size, b.price, b.quantity, b.created_at,
       EXISTS (SELECT 1 FROM raffles r WHERE r.id = b.raffle_id AND r.closed_at IS NOT NULL) AS final
FROM bids b WHERE b.raffle_id = @raffle_id AND b.id = @id;

-- name: BidsOfRaffle :many
-- Bids of all sizes of a raffle, newest first, after a keyset: the newest of each size, merged. None if there is no such
-- raffle.
WITH RECURSIVE sizes AS (
    (SELECT b.size FROM bids b WHERE b.raffle_id = @raffle_id ORDER BY b.size LIMIT 1)
    UNION ALL
    SELECT n.size FROM sizes s CROSS JOIN LATERAL (
        SELECT b.size FROM bids b WHERE b.raffle_id = @raffle_id AND b.size > s.size ORDER BY b.size LIMIT 1) n
)
SELECT m.raffle_id, m.id, m.user_id, m.size, m.price, m.quantity, m.created_at FROM sizes s CROSS JOIN LATERAL (
    SELECT b.raffle_id, b.id, b.user_id, b.size, b.price, b.quantity, b.created_at FROM bids b
    WHERE b.raffle_id = @raffle_id AND b.size = s.size
      AND (b.created_at, b.id) < (@before_created_at::timestamptz, @before_id::bigint)
    ORDER BY b.created_at DESC, b.id DESC
    LIMIT @row_limit::integer) m
WHERE EXISTS (SELECT 1 FROM raffles WHERE raffles.id = @raffle_id)
ORDER BY m.created_at DESC, m.id DESC
LIMIT @row_limit::integer;
