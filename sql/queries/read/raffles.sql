-- name: RafflesLatestEnd :many
-- Raffles by ends_at, latest first, after a keyset. status: open, closed or all.
SELECT id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price FROM raffles
WHERE (ends_at, id) < (@before_ends_at::timestamptz, @before_id::bigint)
  AND (@status::text = 'all'
    OR (@status::text = 'open' AND closed_at IS NULL AND starts_at <= now())
    OR (@status::text = 'closed' AND closed_at IS NOT NULL))
ORDER BY ends_at DESC, id DESC
LIMIT @row_limit::integer;

-- name: Raffle :one
SELECT sqlc.embed(r), sqlc.embed(p)
FROM raffles r JOIN products p ON p.id = r.product_id
WHERE r.id = @id;

-- name: RaffleSizes :many
SELECT size, count(*) AS count, max(price)::integer AS highest FROM bids
WHERE raffle_id = @raffle_id GROUP BY size ORDER BY size;

-- name: RaffleExists :one
SELECT EXISTS (SELECT 1 FROM raffles WHERE id = @id);
