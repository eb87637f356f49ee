-- The read model packs times as microseconds since 1970 and writes them as RFC 3339, which has four digits for
-- the year: infinity and other years have no place in it.

-- +goose Up
ALTER TABLE raffles
    ADD CONSTRAINT raffles_times CHECK (starts_at < '10000-01-01 00:00:00+00' AND ends_at < '10000-01-01 00:00:00+00'
        AND closed_at >= 'epoch' AND closed_at < '10000-01-01 00:00:00+00');
ALTER TABLE products
    ADD CONSTRAINT products_release_date CHECK (release_date >= '1970-01-01' AND release_date < '10000-01-01');
ALTER TABLE bids
    ADD CONSTRAINT bids_created_at CHECK (created_at >= 'epoch' AND created_at < '10000-01-01 00:00:00+00'),
    ADD CONSTRAINT bids_raffle_id CHECK (raffle_id > 0);

-- +goose Down
ALTER TABLE bids     DROP CONSTRAINT bids_raffle_id, DROP CONSTRAINT bids_created_at;
ALTER TABLE products DROP CONSTRAINT products_release_date;
ALTER TABLE raffles  DROP CONSTRAINT raffles_times;
