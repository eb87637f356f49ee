-- Everything the read model needs from the primary: whole old rows, a publication, positions and a probe.

-- +goose Up
-- FULL: a DELETE must carry size, price and created_at, or the bid can't be found in its sorted sets.
ALTER TABLE bids     REPLICA IDENTITY FULL;
ALTER TABLE raffles  REPLICA IDENTITY FULL;
ALTER TABLE products REPLICA IDENTITY FULL;

-- No column list: together with REPLICA IDENTITY FULL it makes DELETE fail.
CREATE PUBLICATION pyramid FOR TABLE bids, raffles, products;

-- The position of the node that runs it. STABLE and ours, because pgpool-II sends the volatile
-- pg_last_wal_replay_lsn() and pg_is_in_recovery() to the primary.
-- +goose StatementBegin
CREATE FUNCTION node_lsn() RETURNS pg_lsn LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION node_is_standby() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT pg_is_in_recovery() $$;
-- +goose StatementEnd

-- One row, written every second: a standby shows the primary's time of the last change it has replayed.
CREATE TABLE probe (
    one bool        PRIMARY KEY DEFAULT true CHECK (one),
    at  timestamptz NOT NULL
) WITH (fillfactor = 10);
INSERT INTO probe (at) VALUES (clock_timestamp());

-- The probe of the logical stream and of the standby in one transaction. A transactional message:
-- one that is not transactional waits unflushed. The content is the primary's time in microseconds.
-- +goose StatementBegin
CREATE FUNCTION emit_probe() RETURNS timestamptz LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
DECLARE
    now_at timestamptz := clock_timestamp();
BEGIN
    UPDATE public.probe SET at = now_at;
    PERFORM pg_logical_emit_message(true, 'pyramid.probe',
        (extract(epoch FROM now_at) * 1000000)::bigint::text);
    RETURN now_at;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION emit_probe() FROM PUBLIC;

-- +goose Down
DROP FUNCTION emit_probe();
DROP TABLE probe;
DROP FUNCTION node_is_standby();
DROP FUNCTION node_lsn();
DROP PUBLICATION pyramid;
