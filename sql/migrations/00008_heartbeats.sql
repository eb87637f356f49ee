-- A heartbeat proves its position by the transactions that have ended, instead of by reading a second's WAL, which took a
-- twelfth of the primary's time under load.

-- +goose Up
-- The id of the transaction that wrote the heartbeat, if it took its id after it had read lsn. A transaction takes its id
-- before it commits, so all commits before lsn are those of transactions with lower ids. Null: nothing is known.
ALTER TABLE heartbeats ADD COLUMN transaction xid8;

-- compatible: the heartbeat looks as before, and held is as true as before.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION heartbeat() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
DECLARE
    beat   public.heartbeats%ROWTYPE;
    before public.heartbeats%ROWTYPE;
    fresh  boolean := pg_current_xact_id_if_assigned() IS NULL;
BEGIN
    PERFORM set_config('synchronous_commit', 'local', true);
    IF NOT pg_try_advisory_xact_lock(x'7079726165617274'::bigint) THEN
        RETURN;
    END IF;
    SELECT * INTO before FROM public.heartbeats ORDER BY number DESC LIMIT 1;
    beat.number := coalesce(before.number, 0) + 1;
    beat.nonce := ('x' || left(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint;
    beat.timeline := public.current_timeline();
    beat.lsn := pg_current_wal_insert_lsn();
    IF before.transaction < pg_snapshot_xmin(pg_current_snapshot()) THEN
        -- All transactions that wrote before the last heartbeat's lsn have ended. One that waits for a synchronous standby
        -- has not.
        beat.held := greatest(before.held, before.lsn);
    ELSE
        BEGIN
            beat.held := public.visible_position(public.known_position(coalesce(before.held, '0/0')));
        EXCEPTION WHEN query_canceled THEN
            -- The time limit has hit while the WAL was read. The heartbeat is worth more than its newest position.
            beat.held := coalesce(before.held, '0/0');
        END;
    END IF;
    IF fresh THEN -- late, because a slot that is made waits for transactions with an id
        beat.transaction := pg_current_xact_id();
    END IF;
    beat.at := clock_timestamp();
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

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION heartbeat() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
DECLARE
    beat   public.heartbeats%ROWTYPE;
    before public.heartbeats%ROWTYPE;
BEGIN
    PERFORM set_config('synchronous_commit', 'local', true);
    IF NOT pg_try_advisory_xact_lock(x'7079726165617274'::bigint) THEN
        RETURN;
    END IF;
    SELECT * INTO before FROM public.heartbeats ORDER BY number DESC LIMIT 1;
    beat.number := coalesce(before.number, 0) + 1;
    beat.nonce := ('x' || left(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint;
    beat.timeline := public.current_timeline();
    beat.lsn := pg_current_wal_insert_lsn();
    BEGIN
        beat.held := public.visible_position(public.known_position(coalesce(before.held, '0/0')));
    EXCEPTION WHEN query_canceled THEN
        -- The time limit has hit while the WAL was read. The heartbeat is worth more than its newest position.
        beat.held := coalesce(before.held, '0/0');
    END;
    beat.at := clock_timestamp();
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
ALTER TABLE heartbeats DROP COLUMN transaction;
