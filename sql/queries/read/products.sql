-- name: Product :one
SELECT id, name, model, color, category, image_url, release_price, release_date FROM products WHERE id = @id;

-- name: ProductsNewest :many
-- Products by id, the newest first, after a keyset. text is in lower case and part of the name or of the model; the
-- collation C changes the case of ASCII letters only. An empty text or category chooses all.
SELECT id, name, model, color, category, image_url, release_price, release_date FROM products
WHERE id < @before_id::bigint
  AND (strpos(lower(name COLLATE "C"), @text::text) > 0 OR strpos(lower(model COLLATE "C"), @text::text) > 0)
  AND (@category::text = '' OR category = @category::text)
ORDER BY id DESC
LIMIT @row_limit::integer;

-- name: RafflesFound :many
-- Raffles with their products, by ends_at, latest first, after a keyset; status as in RafflesLatestEnd, text and category
-- as in ProductsNewest. The highest price is one probe of bids_highest for each size.
SELECT sqlc.embed(r), sqlc.embed(p),
       (CASE WHEN @highest::boolean THEN coalesce(highest_price(r.id), 0) ELSE 0 END)::integer AS highest
FROM raffles r JOIN products p ON p.id = r.product_id
WHERE (r.ends_at, r.id) < (@before_ends_at::timestamptz, @before_id::bigint)
  AND (@status::text = 'all'
    OR (@status::text = 'open' AND r.closed_at IS NULL AND r.starts_at <= now())
    OR (@status::text = 'closed' AND r.closed_at IS NOT NULL))
  AND (strpos(lower(p.name COLLATE "C"), @text::text) > 0 OR strpos(lower(p.model COLLATE "C"), @text::text) > 0)
  AND (@category::text = '' OR p.category = @category::text)
ORDER BY r.ends_at DESC, r.id DESC
LIMIT @row_limit::integer;
