-- name: AddProduct :one
INSERT INTO products (name, model, color, category, image_url, release_price, release_date)
VALUES (@name, @model, @color, @category, @image_url, @release_price, (@release_date::text)::date)
RETURNING id, name, model, color, category, image_url, release_price, to_char(release_date, 'YYYY-MM-DD')::text AS release_date;

-- name: ChangeProduct :one
-- Null means unchanged.
UPDATE products p SET
    name = coalesce(sqlc.narg(name)::text, p.name),
    model = coalesce(sqlc.narg(model)::text, p.model),
    color = coalesce(sqlc.narg(color)::text, p.color),
    category = coalesce(sqlc.narg(category)::text, p.category),
    image_url = coalesce(sqlc.narg(image_url)::text, p.image_url),
    release_price = coalesce(sqlc.narg(release_price)::integer, p.release_price),
    release_date = coalesce((sqlc.narg(release_date)::text)::date, p.release_date)
WHERE p.id = @id
RETURNING p.id, p.name, p.model, p.color, p.category, p.image_url, p.release_price, to_char(p.release_date, 'YYYY-MM-DD')::text AS release_date;
