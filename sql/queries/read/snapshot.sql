-- Read by the replicator within an exported snapshot.

-- name: SnapshotRaffles :many
SELECT id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price FROM raffles WHERE id > @after_id::bigint ORDER BY id LIMIT @row_limit::integer;

-- name: SnapshotProducts :many
SELECT id, name, model, color, category, image_url, release_price, release_date FROM products WHERE id > @after_id::bigint ORDER BY id LIMIT @row_limit::integer;
