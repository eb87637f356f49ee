-- name: RafflesLatestEnd :many
-- Raffles by ends_at, latest first, after a keyset. status: open, closed or all.
SELECT id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price FROM raffles
WHERE (ends_at, id) < (@before_ends_at::timestamptz, @before_id::bigint)
  AND (@status::text = 'all'
    OR (@status::text = 'open' AND closed_at IS NULL AND starts_at <= now())
    OR (@status::text = 'closed' AND closed_at IS NOT NULL))
ORDER BY ends_at DESC, id DESC
LIMIT @row_limit::integer;

-- name: RaffleDetail :many
-- The raffle with its product once for each size that has bids, or once with the size 0. It is one statement, so that
-- all parts come from one snapshot. The count needs only columns of an index, so it is an index-only scan if the
-- table is vacuumed. The highest price is one probe of bids_highest for each size.
SELECT sqlc.embed(r), sqlc.embed(p), coalesce(s.size, 0)::smallint AS size,
       coalesce(s.count, 0)::bigint AS count, coalesce(s.highest, 0)::integer AS highest
FROM raffles r JOIN products p ON p.id = r.product_id LEFT JOIN LATERAL (
    SELECT c.size, c.count, h.price AS highest
    FROM (SELECT b.size, count(*) AS count FROM bids b WHERE b.raffle_id = @id GROUP BY b.size) c
    CROSS JOIN LATERAL (
        SELECT b.price FROM bids b WHERE b.raffle_id = @id AND b.size = c.size ORDER BY (-b.price) LIMIT 1) h
    ) s ON true
WHERE r.id = @id
ORDER BY s.size;

-- name: RaffleEntry :one
SELECT id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price FROM raffles WHERE id = @id;

-- name: RaffleExists :one
SELECT EXISTS (SELECT 1 FROM raffles WHERE id = @id);

-- name: BestBids :many
-- The raffle, once for each size that has bids, with the best bid of the size: the highest price, and the earliest among
-- equals. Once with the bid 0 if it has no bids. It goes from size to size, so it reads one bid of each.
WITH RECURSIVE best AS (
    (SELECT b.size, b.id, b.user_id, b.price, b.quantity, b.created_at FROM bids b
     WHERE b.raffle_id = @raffle_id ORDER BY b.size, (-b.price), b.created_at, b.id LIMIT 1)
    UNION ALL
    SELECT n.size, n.id, n.user_id, n.price, n.quantity, n.created_at FROM best p CROSS JOIN LATERAL (
        SELECT b.size, b.id, b.user_id, b.price, b.quantity, b.created_at FROM bids b
        WHERE b.raffle_id = @raffle_id AND b.size > p.size ORDER BY b.size, (-b.price), b.created_at, b.id LIMIT 1) n
)
SELECT sqlc.embed(r), coalesce(b.size, 0)::smallint AS size, coalesce(b.id, 0)::bigint AS bid_id, coalesce(b.user_id, 0)::bigint AS user_id,
       coalesce(b.price, 0)::integer AS price, coalesce(b.quantity, 0)::integer AS quantity,
       coalesce(b.created_at, 'epoch')::timestamptz AS created_at
FROM raffles r LEFT JOIN best b ON true
WHERE r.id = @raffle_id
ORDER BY b.size;
