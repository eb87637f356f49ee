-- Positions that stay true: a heartbeat that identifies a history, the branches of the timelines, and where
-- a node stands.

-- +goose Up
DROP FUNCTION emit_probe();
DROP TABLE probe;

-- Where each timeline of the present history left its parent. heartbeat() keeps it, so every node that has
-- replayed a heartbeat of a timeline knows how that timeline came to be.
CREATE TABLE timelines (
    timeline integer PRIMARY KEY CHECK (timeline > 1),
    parent   integer NOT NULL,
    begins   pg_lsn  NOT NULL
);

-- The heartbeats of the last hour. nonce is random: a history that was forked and went on has the same
-- numbers but not the same nonces. lsn is an insert position from before the heartbeat's own commit.
CREATE TABLE heartbeats (
    number   bigint      PRIMARY KEY,
    nonce    bigint      NOT NULL,
    at       timestamptz NOT NULL,
    timeline integer     NOT NULL,
    lsn      pg_lsn      NOT NULL
);

-- The timeline that a primary writes now. The name of a WAL file begins with it, in hexadecimal.
-- +goose StatementBegin
CREATE FUNCTION current_timeline() RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer
$$;
-- +goose StatementEnd

-- The branches that led to a timeline, as the node's own history file tells them (PostgreSQL source,
-- src/backend/access/transam/timeline.c: parent, switch point and reason, separated by tabs, oldest first).
-- +goose StatementBegin
CREATE FUNCTION timeline_branches(of integer) RETURNS TABLE (timeline integer, parent integer, begins pg_lsn)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(lead(m[1]::integer) OVER (ORDER BY n), of), m[1]::integer, m[2]::pg_lsn
    FROM regexp_matches(wal.history(of), '^\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)', 'gn') WITH ORDINALITY AS h (m, n)
$$;
-- +goose StatementEnd

-- Writes a heartbeat, which everybody who watches the primary may do: one more does no harm, and two at once
-- make one. It does not wait for a synchronous standby. The message is transactional: one that is not waits
-- unflushed.
-- +goose StatementBegin
CREATE FUNCTION heartbeat() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
DECLARE
    beat public.heartbeats%ROWTYPE;
BEGIN
    PERFORM set_config('synchronous_commit', 'local', true);
    IF NOT pg_try_advisory_xact_lock(x'7079726165617274'::bigint) THEN
        RETURN;
    END IF;
    beat.number := coalesce((SELECT max(number) FROM public.heartbeats), 0) + 1;
    beat.nonce := ('x' || left(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint;
    beat.at := clock_timestamp();
    beat.timeline := public.current_timeline();
    beat.lsn := pg_current_wal_insert_lsn();
    IF beat.timeline > 1 AND NOT EXISTS (SELECT FROM public.timelines t WHERE t.timeline = beat.timeline) THEN
        DELETE FROM public.timelines;
        INSERT INTO public.timelines SELECT * FROM public.timeline_branches(beat.timeline);
    END IF;
    INSERT INTO public.heartbeats VALUES (beat.*);
    DELETE FROM public.heartbeats WHERE number <= beat.number - 3600;
    PERFORM pg_logical_emit_message(true, 'pyramid.heartbeat',
        concat_ws(',', beat.number, beat.nonce, (extract(epoch FROM beat.at) * 1000000)::bigint));
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION heartbeat() FROM PUBLIC;
SELECT heartbeat();

GRANT SELECT ON timelines, heartbeats TO query, replicator, command;
GRANT EXECUTE ON FUNCTION heartbeat() TO command, replicator;

-- +goose Down
DROP FUNCTION heartbeat();
DROP FUNCTION timeline_branches(integer);
DROP FUNCTION current_timeline();
DROP TABLE heartbeats;
DROP TABLE timelines;
CREATE TABLE probe (
    one bool        PRIMARY KEY DEFAULT true CHECK (one),
    at  timestamptz NOT NULL
) WITH (fillfactor = 10);
INSERT INTO probe (at) VALUES (clock_timestamp());
GRANT SELECT ON probe TO query, replicator;
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
GRANT EXECUTE ON FUNCTION emit_probe() TO replicator;
