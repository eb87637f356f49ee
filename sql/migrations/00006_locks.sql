-- Each raffle has an advisory lock, which bids share and a change of the raffle's state takes alone; and each
-- role may do still less.

-- +goose Up
-- The key of a raffle's lock. Bids and cancellations hold the lock shared until they have committed. Unlike
-- locks of rows, advisory locks queue, so bids can't overtake a close that waits, and they write nothing.
-- +goose StatementBegin
CREATE FUNCTION raffle_lock(raffle bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT hashint8extended(raffle, 1)
$$;
-- +goose StatementEnd

-- Goes from size to size through bids_highest, so it reads one bid per size, however many there are.
-- +goose StatementBegin
CREATE FUNCTION highest_price(raffle bigint) RETURNS integer LANGUAGE sql STABLE AS $$
    WITH RECURSIVE highest AS (
        (SELECT b.size, b.price FROM public.bids b WHERE b.raffle_id = raffle ORDER BY b.size, (-b.price) LIMIT 1)
        UNION ALL
        SELECT n.size, n.price FROM highest h CROSS JOIN LATERAL (
            SELECT b.size, b.price FROM public.bids b WHERE b.raffle_id = raffle AND b.size > h.size
            ORDER BY b.size, (-b.price) LIMIT 1) n
    )
    SELECT max(h.price) FROM highest h
$$;
-- +goose StatementEnd

-- Whoever changes a raffle's state, by hand too, waits for the bids under way and keeps new ones out until
-- the end of the transaction. A close takes its time and its price after that wait, because the values of an
-- UPDATE are computed before it.
-- +goose StatementBegin
CREATE FUNCTION change_raffle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The snapshot of another isolation level is older than the lock and lacks the bids that it waits for.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the state of a raffle is changed under READ COMMITTED only'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM pg_advisory_xact_lock(public.raffle_lock(OLD.id));
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL THEN
        NEW.closed_at := clock_timestamp();
        NEW.closing_price := public.highest_price(NEW.id);
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER change_raffle BEFORE DELETE OR UPDATE OF id, starts_at, ends_at, closed_at, closing_price ON raffles
    FOR EACH ROW EXECUTE FUNCTION change_raffle();

-- Ends a transaction that has placed a bid under a key whose bid was cancelled while it waited. Such a bid
-- must not be committed and taken back, because the stream would show both.
-- +goose StatementBegin
CREATE FUNCTION refuse_cancelled(raffles bigint[], users bigint[], keys text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM unnest(raffles, users, keys) AS k (raffle, who, key)
        WHERE (SELECT c.id FROM public.cancelled_bids c
               WHERE c.raffle_id = k.raffle AND c.user_id = k.who AND c.idempotency_key = k.key LIMIT 1) IS NOT NULL
          AND (SELECT b.id FROM public.bids b
               WHERE b.raffle_id = k.raffle AND b.user_id = k.who AND b.idempotency_key = k.key LIMIT 1) IS NOT NULL)
    THEN
        RAISE EXCEPTION 'a bid under this key was cancelled meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END
$$;
-- +goose StatementEnd

-- Up to which close the idempotency keys are forgotten, so that no raffle is looked at again.
CREATE TABLE pruned_keys (
    one       boolean     PRIMARY KEY DEFAULT true CHECK (one),
    closed_at timestamptz NOT NULL,
    raffle_id bigint      NOT NULL
);
INSERT INTO pruned_keys (closed_at, raffle_id) VALUES ('epoch', 0);
CREATE INDEX raffles_closed ON raffles (closed_at, id) WHERE closed_at IS NOT NULL;
GRANT SELECT, UPDATE (closed_at, raffle_id) ON pruned_keys TO command;

-- A close writes closed_at alone; the trigger adds the price.
REVOKE INSERT, UPDATE ON raffles FROM command;
GRANT INSERT (product_id, seller_id, starts_at, ends_at), UPDATE (closed_at) ON raffles TO command;
-- The role of a new user is the default: nobody becomes an admin through a service.
REVOKE INSERT ON users FROM command;
GRANT INSERT (login, password_hash) ON users TO command;
-- Nothing that query reads is in users, and a key is its client's secret.
REVOKE SELECT ON users, bids FROM query;
GRANT SELECT (raffle_id, id, user_id, size, price, quantity, created_at) ON bids TO query;

-- +goose Down
DROP INDEX raffles_closed;
DROP TABLE pruned_keys;
GRANT SELECT ON users, bids TO query;
GRANT INSERT ON users TO command;
GRANT INSERT, UPDATE ON raffles TO command;
DROP FUNCTION refuse_cancelled(bigint[], bigint[], text[]);
DROP TRIGGER change_raffle ON raffles;
DROP FUNCTION change_raffle();
DROP FUNCTION highest_price(bigint);
DROP FUNCTION raffle_lock(bigint);
