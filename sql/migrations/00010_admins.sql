-- Admins add and change products, and move the times of a raffle.

-- +goose Up
GRANT INSERT (name, model, color, category, image_url, release_price, release_date),
    UPDATE (name, model, color, category, image_url, release_price, release_date) ON products TO command;
GRANT UPDATE (starts_at, ends_at) ON raffles TO command;

-- +goose Down
REVOKE UPDATE (starts_at, ends_at) ON raffles FROM command;
REVOKE INSERT (name, model, color, category, image_url, release_price, release_date),
    UPDATE (name, model, color, category, image_url, release_price, release_date) ON products FROM command;
