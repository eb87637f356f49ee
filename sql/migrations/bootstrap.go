package migrations

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

// Role is a database role of the system and its attributes.
type Role struct {
	Name       string
	attributes string
	memberOf   string
}

// bareErrors keeps the values of rows out of the server's log: a detail or a context of an error may have them.
const bareErrors = " SET log_error_verbosity = terse"

// Roles are made by Bootstrap. Only migrator owns anything. pgpool and exporter only watch.
var Roles = []Role{
	{Name: "migrator", attributes: "LOGIN"},
	{Name: "command", attributes: "LOGIN"},
	{Name: "query", attributes: "LOGIN"},
	// The replicator needs pg_read_all_stats to say which transactions a new slot waits for.
	{Name: "replicator", attributes: "LOGIN REPLICATION", memberOf: "pg_read_all_stats"},
	{Name: "standby", attributes: "LOGIN REPLICATION"},
	{Name: "pgpool", attributes: "LOGIN", memberOf: "pg_monitor"},
	{Name: "exporter", attributes: "LOGIN", memberOf: "pg_monitor"},
}

// Bootstrap makes the roles and the database as the superuser that conn belongs to, and sets the passwords by role
// name. A role that is not in passwords keeps its password. Bootstrap can be repeated.
func Bootstrap(ctx context.Context, conn *pgx.Conn, passwords map[string]string) error {
	// If a statement with a password fails or takes long, the server's log must not have it.
	if _, err := conn.Exec(ctx, "SET log_min_error_statement = panic; SET log_min_duration_statement = -1"); err != nil {
		return err
	}
	for _, r := range Roles {
		if err := ensureRole(ctx, conn, r, passwords[r.Name]); err != nil {
			return fmt.Errorf("role %s: %w", r.Name, err)
		}
	}
	_, err := conn.Exec(ctx, "CREATE DATABASE "+Database+" OWNER migrator")
	if err != nil && !pg.HasCode(err, pg.DuplicateDatabase) {
		return fmt.Errorf("database %s: %w", Database, err)
	}
	// By default everybody may connect. Here only the roles of the system may.
	_, err = conn.Exec(ctx, fmt.Sprintf(`REVOKE ALL ON DATABASE %[1]s FROM PUBLIC;
		GRANT CONNECT ON DATABASE %[1]s TO command, query, replicator, pgpool, exporter`, Database))
	if err != nil {
		return fmt.Errorf("database %s: %w", Database, err)
	}
	if err := ensureWAL(ctx, conn.Config()); err != nil {
		return fmt.Errorf("schema wal: %w", err)
	}
	return nil
}

// walSchema makes what needs a superuser: functions that read the node's timeline history files and its WAL, and an
// event trigger. The schema belongs to the superuser, so that no other role can replace a function that runs with
// these rights.
const walSchema = `
CREATE SCHEMA IF NOT EXISTS wal;
CREATE EXTENSION IF NOT EXISTS pg_walinspect SCHEMA wal;
CREATE OR REPLACE FUNCTION wal.history(of integer) RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    RETURN pg_read_file('pg_wal/' || upper(lpad(to_hex(of), 8, '0')) || '.history', 0, 1048576, true);
END
$$;
-- The commits between two positions of the WAL, as arrays: the transaction ids (those of prepared
-- transactions stand in the description), where the commit records begin and end. reached is the end of the
-- last record that ends there, null if none does. It fails for WAL that is gone or not flushed yet.
CREATE OR REPLACE FUNCTION wal.commits(after pg_lsn, upto pg_lsn,
    OUT reached pg_lsn, OUT xids xid[], OUT begins pg_lsn[], OUT ends pg_lsn[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF after < '0/2000' THEN
        -- No WAL is so low. pg_walinspect says so with a code that depends on the version of the server.
        RAISE internal_error USING MESSAGE = 'there is no WAL at ' || after;
    END IF;
    SELECT max(r.end_lsn),
        array_agg(coalesce(substring(r.description FROM '^(\d+): ')::xid, r.xid)) FILTER (WHERE r.record_type IN ('COMMIT', 'COMMIT_PREPARED')),
        array_agg(r.start_lsn) FILTER (WHERE r.record_type IN ('COMMIT', 'COMMIT_PREPARED')),
        array_agg(r.end_lsn) FILTER (WHERE r.record_type IN ('COMMIT', 'COMMIT_PREPARED'))
    INTO reached, xids, begins, ends FROM wal.pg_get_wal_records_info(after, upto) r;
    IF reached IS NULL THEN
        -- The record of a switch ends with its file, which may be far behind upto.
        BEGIN
            SELECT r.end_lsn INTO reached FROM wal.pg_get_wal_record_info(after) r
            WHERE r.start_lsn = after AND r.record_type = 'SWITCH' AND r.end_lsn <= pg_current_wal_flush_lsn();
        EXCEPTION WHEN OTHERS THEN
            reached := NULL; -- the record is not flushed to its end
        END;
    END IF;
END
$$;
-- Whether a commit record begins at a position and has that time; null if the WAL there is gone.
CREATE OR REPLACE FUNCTION wal.committed(at pg_lsn, committed timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
    r record;
BEGIN
    SELECT * INTO r FROM wal.pg_get_wal_record_info(at);
    RETURN coalesce(r.start_lsn = at AND r.record_type IN ('COMMIT', 'COMMIT_PREPARED')
        AND substring(r.description FROM '\d+-\d+-\d+ \d+:\d+:\d+\.\d+\S+')::timestamptz = committed, false);
EXCEPTION
    WHEN undefined_file OR undefined_function OR insufficient_privilege THEN
        RETURN NULL;
    WHEN OTHERS THEN
        RETURN false; -- what is there is no record, such as the rest of a file after a switch
END
$$;
-- Makes the slot with which the stream of changes goes on after a promotion, and returns from where on. It is to be
-- called on the promoted server before sessions can write there: the stream then lacks nothing. The slot is numbered
-- by the timeline. That is lower than every epoch, so a replicator that can't use the slot drops it as a former one.
CREATE OR REPLACE FUNCTION wal.continue_stream() RETURNS pg_lsn LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    name text := 'pyramid_' || ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer;
BEGIN
    PERFORM pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = name;
    RETURN (SELECT lsn FROM pg_create_logical_replication_slot(name, 'pgoutput'));
END
$$;
-- A change of what is published is told in the stream, before everything that is committed after it: rows that
-- are written while their table is not published are never sent.
CREATE OR REPLACE FUNCTION wal.tell_publication() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_logical_emit_message(true, 'pyramid.publication', pg_catalog.lower(tg_tag));
END
$$;
DROP EVENT TRIGGER IF EXISTS tell_publication;
CREATE EVENT TRIGGER tell_publication ON ddl_command_end
    WHEN TAG IN ('CREATE PUBLICATION', 'ALTER PUBLICATION', 'DROP PUBLICATION', 'ALTER TABLE', 'DROP TABLE')
    EXECUTE FUNCTION wal.tell_publication();
REVOKE ALL ON FUNCTION wal.history(integer), wal.commits(pg_lsn, pg_lsn), wal.committed(pg_lsn, timestamptz),
    wal.tell_publication(), wal.continue_stream() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION wal.committed(pg_lsn, timestamptz) TO query, replicator;
GRANT USAGE ON SCHEMA wal TO migrator, command, query, replicator;
GRANT EXECUTE ON FUNCTION wal.history(integer) TO migrator, query, replicator;
GRANT EXECUTE ON FUNCTION wal.commits(pg_lsn, pg_lsn) TO migrator, command, query, replicator;
`

// ensureWAL makes the schema wal in the database of the system.
func ensureWAL(ctx context.Context, config *pgx.ConnConfig) error {
	config.Database = Database
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, walSchema)
	return errors.Join(err, conn.Close(ctx))
}

func ensureRole(ctx context.Context, conn *pgx.Conn, r Role, password string) error {
	_, err := conn.Exec(ctx, "CREATE ROLE "+r.Name)
	if err != nil && !pg.HasCode(err, pg.DuplicateObject) {
		return err
	}
	sql := "ALTER ROLE " + r.Name + " WITH " + r.attributes
	if password != "" {
		quoted, err := conn.PgConn().EscapeString(password)
		if err != nil {
			return err
		}
		sql += " PASSWORD '" + quoted + "'"
	}
	if _, err := conn.Exec(ctx, sql); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "ALTER ROLE "+r.Name+bareErrors); err != nil {
		return err
	}
	if r.memberOf != "" {
		_, err := conn.Exec(ctx, "GRANT "+r.memberOf+" TO "+r.Name)
		return err
	}
	return nil
}
