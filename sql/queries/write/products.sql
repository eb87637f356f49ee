-- name: AddProduct :one
-- Returns no row if there is a key that is not claimed (see ClaimKey). An empty key is none.
WITH added AS (
    INSERT INTO products (name, model, color, category, image_url, release_price, release_date)
    SELECT @name::text, @model::text, @color::text, @category::text, @image_url::text, @release_price::integer, (@release_date::text)::date
    WHERE @key::text = '' OR EXISTS (SELECT FROM idempotency_keys c WHERE c.scope = @scope::text AND c.key = @key::text AND c.answer IS NULL)
    RETURNING id, name, model, color, category, image_url, release_price, release_date
), remembered AS (
    UPDATE idempotency_keys k SET answer = jsonb_build_object('id', a.id, 'name', a.name, 'model', a.model, 'color', a.color,
        'category', a.category, 'image_url', a.image_url, 'release_price', a.release_price, 'release_date', a.release_date)
    FROM added a WHERE k.scope = @scope::text AND k.key = @key::text
)
SELECT a.id, a.name, a.model, a.color, a.category, a.image_url, a.release_price, to_char(a.release_date, 'YYYY-MM-DD')::text AS release_date
FROM added a;

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
