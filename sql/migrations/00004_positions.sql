-- Positions that stay true: a heartbeat that identifies a history, the branches of the timelines, and where
-- a node stands.

-- +goose Up
DROP FUNCTION emit_probe();
DROP TABLE probe;
DROP FUNCTION node_is_standby();
DROP FUNCTION node_lsn();

-- Where each timeline of the present history left its parent. heartbeat() keeps it, so every node that has
-- replayed a heartbeat of a timeline knows how that timeline came to be.
CREATE TABLE timelines (
    timeline integer PRIMARY KEY CHECK (timeline > 1),
    parent   integer NOT NULL,
    begins   pg_lsn  NOT NULL
);

-- The heartbeats of the last hour. nonce is random: a history that was forked and went on has the same
-- numbers but not the same nonces. lsn is an insert position from before the heartbeat's own commit. held is
-- what visible_position() could prove then.
CREATE TABLE heartbeats (
    number   bigint      PRIMARY KEY,
    nonce    bigint      NOT NULL,
    at       timestamptz NOT NULL,
    timeline integer     NOT NULL,
    lsn      pg_lsn      NOT NULL,
    held     pg_lsn      NOT NULL
);

-- The timeline that a primary writes now. The name of a WAL file begins with it, in hexadecimal. VOLATILE, as what
-- it calls is: otherwise it is not inlined, which costs 40 us a call.
-- +goose StatementBegin
CREATE FUNCTION current_timeline() RETURNS integer LANGUAGE sql VOLATILE AS $$
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

-- On a primary: a position such that the calling statement's snapshot, and every later one, sees each
-- transaction whose commit record ends at or before it. The flush position is no such position: a commit is
-- flushed before it is visible, and with a synchronous standby long before.
--
-- Everything up to known is visible already. The WAL from there to the flush position names the transactions
-- that have committed since, and the snapshot says of each whether it sees it. The answer is the beginning of
-- the first commit record whose transaction it does not see. A transaction that is merely open has no commit
-- record, so it changes nothing. The record of a commit has the id of the top-level transaction, which is
-- the one that a snapshot knows.
--
-- The answer is a boundary between two records, as known must be: walinspect skips a record that begins
-- before the range. One call reads at most 4 MB, in some 25 ms; what it could not read makes the answer lower,
-- and the next call goes on from there.
-- +goose StatementBegin
CREATE FUNCTION visible_position(known pg_lsn) RETURNS pg_lsn LANGUAGE plpgsql STABLE AS $$
DECLARE
    flushed  pg_lsn := pg_current_wal_flush_lsn();
    seen     pg_snapshot := pg_current_snapshot();
    xmax     bigint := pg_snapshot_xmax(seen)::text::bigint;
    last     pg_lsn := least(flushed, known + 4194304);
    part     integer := 65536;
    found    record;
    unseen   pg_lsn;
BEGIN
    WHILE known < last LOOP
        found := wal.commits(known, least(last, known + part));
        IF found.xids IS NOT NULL THEN
            -- A transaction id in the WAL has 32 bits and is within 2^31 of the snapshot's xmax, which has 64.
            SELECT min(c.begins) INTO unseen FROM unnest(found.xids, found.begins) c (xid, begins)
            WHERE NOT pg_visible_in_snapshot(
                (xmax + ((c.xid::text::bigint - xmax + 2147483648) & 4294967295) - 2147483648)::text::xid8, seen);
            IF unseen IS NOT NULL THEN
                RETURN unseen;
            END IF;
        END IF;
        EXIT WHEN found.reached IS NULL AND known + part >= last;
        known := coalesce(found.reached, known);
        part := 4 * part;
    END LOOP;
    RETURN known;
EXCEPTION WHEN internal_error OR undefined_file OR io_error THEN
    -- The WAL after known is gone, or its first record is not flushed to its end.
    RETURN known;
END
$$;
-- +goose StatementEnd

-- What visible_position() can begin from on this primary: what the caller knows or, when that is far behind, the
-- last checkpoint (every transaction with a lower id than its next one has ended, so everything before its redo
-- position is visible) and the beginning of the timeline (recovery has made everything before it visible).
-- +goose StatementBegin
CREATE FUNCTION known_position(known pg_lsn) RETURNS pg_lsn LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF known + 1048576 >= pg_current_wal_flush_lsn() THEN
        RETURN known;
    END IF;
    RETURN greatest(known,
        (SELECT redo_lsn FROM pg_control_checkpoint()
         WHERE pg_snapshot_xmin(pg_current_snapshot())::text::bigint >=
             split_part(next_xid, ':', 1)::bigint * 4294967296 + split_part(next_xid, ':', 2)::bigint),
        (SELECT b.begins FROM timeline_branches(current_timeline()) b WHERE b.timeline = current_timeline()));
END
$$;
-- +goose StatementEnd

-- Where the node stands that runs it: the data of every later statement hold everything up to lsn of timeline.
-- flushed is how far the node has got, visible or not. number, nonce and at (microseconds) are the newest
-- heartbeat that it shows, started is the start of the server, which tells servers apart. known is an lsn that
-- the primary whose start is by has answered before; another server takes no notice of it, nor of null.
-- STABLE, because pgpool-II sends volatile functions to the primary.
--
-- A standby is on the timeline of the newest heartbeat that it has replayed. It may have gone on to another
-- timeline since; but it has the history file of that one before it replays any of it, and the file says
-- where the old timeline ended. So the replay position must be read before the files.
-- +goose StatementBegin
CREATE FUNCTION node_position(known pg_lsn, by timestamptz, OUT timeline integer, OUT lsn pg_lsn, OUT flushed pg_lsn,
    OUT standby boolean, OUT number bigint, OUT nonce bigint, OUT at bigint, OUT started timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    later integer;
    held  pg_lsn;
BEGIN
    standby := pg_is_in_recovery();
    IF standby THEN
        lsn := pg_last_wal_replay_lsn();
        flushed := lsn;
    END IF;
    SELECT h.timeline, h.number, h.nonce, (extract(epoch FROM h.at) * 1000000)::bigint, h.held, pg_postmaster_start_time()
    INTO timeline, number, nonce, at, held, started FROM heartbeats h ORDER BY h.number DESC LIMIT 1;
    IF standby THEN
        later := timeline + 1;
        WHILE wal.history(later) IS NOT NULL LOOP
            lsn := least(lsn, (SELECT b.begins FROM timeline_branches(later) b WHERE b.parent = node_position.timeline));
            later := later + 1;
        END LOOP;
        RETURN;
    END IF;
    timeline := current_timeline();
    flushed := pg_current_wal_flush_lsn();
    lsn := visible_position(known_position(greatest(held, CASE WHEN by = started AND known <= flushed THEN known END)));
END
$$;
-- +goose StatementEnd

-- The text form of a position of this primary, as the services give it to clients.
-- +goose StatementBegin
CREATE FUNCTION position_text(at pg_lsn) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT current_timeline() || '-' || at
$$;
-- +goose StatementEnd

-- Notes in the session which transaction this is and a position before its commit record, for
-- commit_position(). It is to be called after the transaction's last write.
-- +goose StatementBegin
CREATE FUNCTION before_commit() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT set_config('pyramid.commit', concat(pg_current_xact_id_if_assigned()::xid, '@', pg_current_wal_insert_lsn()), false)
$$;
-- +goose StatementEnd

-- A position at or past the end of the commit before which before_commit() was called in this session. With a
-- synchronous standby the flush position would cover commits of others that still wait for the standby, so
-- nobody could read up to it; then it is the end of the commit record itself, which the WAL tells.
-- +goose StatementBegin
CREATE FUNCTION commit_position() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    flushed pg_lsn := pg_current_wal_flush_lsn();
    mine    xid;
    after   pg_lsn;
    reached pg_lsn;
    ends    pg_lsn;
    part    integer := 16384;
BEGIN
    IF current_setting('synchronous_standby_names') = '' THEN
        RETURN position_text(flushed);
    END IF;
    mine := nullif(split_part(current_setting('pyramid.commit', true), '@', 1), '')::xid;
    after := nullif(split_part(current_setting('pyramid.commit', true), '@', 2), '')::pg_lsn;
    WHILE mine IS NOT NULL AND after < flushed AND part < 4194304 LOOP
        SELECT w.reached, w.ends[array_position(w.xids, mine)] INTO reached, ends FROM wal.commits(after, least(flushed, after + part)) w;
        IF ends IS NOT NULL THEN
            RETURN position_text(ends);
        END IF;
        EXIT WHEN reached IS NULL AND after + part >= flushed;
        after := coalesce(reached, after);
        part := 4 * part;
    END LOOP;
    RETURN position_text(flushed);
END
$$;
-- +goose StatementEnd

-- Writes a heartbeat, which everybody who watches the primary may do: one more does no harm, and two at once
-- make one. It does not wait for a synchronous standby. The message is transactional: one that is not waits
-- unflushed.
-- +goose StatementBegin
CREATE FUNCTION heartbeat() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
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
REVOKE ALL ON FUNCTION heartbeat() FROM PUBLIC;
SELECT heartbeat();

GRANT SELECT ON timelines, heartbeats TO query, replicator, command;
GRANT EXECUTE ON FUNCTION heartbeat() TO command, replicator;

-- +goose Down
DROP FUNCTION heartbeat();
DROP FUNCTION commit_position();
DROP FUNCTION before_commit();
DROP FUNCTION position_text(pg_lsn);
DROP FUNCTION node_position(pg_lsn, timestamptz);
DROP FUNCTION known_position(pg_lsn);
DROP FUNCTION visible_position(pg_lsn);
DROP FUNCTION timeline_branches(integer);
DROP FUNCTION current_timeline();
DROP TABLE heartbeats;
DROP TABLE timelines;
-- +goose StatementBegin
CREATE FUNCTION node_lsn() RETURNS pg_lsn LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION node_is_standby() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT pg_is_in_recovery() $$;
-- +goose StatementEnd
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
