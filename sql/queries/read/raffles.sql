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
