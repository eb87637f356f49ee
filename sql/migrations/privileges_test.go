package migrations_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// privilegesSQL derives from the catalog what each role, and everybody, may do with the objects in the schemas of the
// system, and which attributes and memberships the role has.
const privilegesSQL = `
WITH granted AS (
    SELECT a.grantee, a.privilege_type, n.nspname || '.' || c.relname AS object
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN aclexplode(c.relacl) a
    WHERE n.nspname IN ('public', 'wal') AND a.grantee <> c.relowner
    UNION ALL
    SELECT a.grantee, a.privilege_type, format('%s.%s(%s)', n.nspname, c.relname, string_agg(t.attname, ' ' ORDER BY t.attnum))
    FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN aclexplode(t.attacl) a
    WHERE n.nspname IN ('public', 'wal') AND a.grantee <> c.relowner
    GROUP BY a.grantee, a.privilege_type, n.nspname, c.relname
    UNION ALL
    SELECT a.grantee, a.privilege_type, format('%s.%s()', n.nspname, p.proname)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    WHERE a.grantee <> p.proowner AND (n.nspname = 'public' OR n.nspname = 'wal' AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e'))
    UNION ALL
    SELECT a.grantee, a.privilege_type, 'schema ' || n.nspname
    FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) a WHERE n.nspname IN ('public', 'wal') AND a.grantee <> n.nspowner
    UNION ALL
    SELECT a.grantee, a.privilege_type, 'database' FROM pg_database d CROSS JOIN aclexplode(d.datacl) a
    WHERE d.datname = current_database() AND a.grantee <> d.datdba
    UNION ALL
    SELECT m.member, 'MEMBER', m.roleid::regrole::text FROM pg_auth_members m
    UNION ALL
    SELECT r.oid, 'IS', x.attribute FROM pg_roles r CROSS JOIN LATERAL (VALUES ('superuser', r.rolsuper), ('createrole', r.rolcreaterole),
        ('createdb', r.rolcreatedb), ('replication', r.rolreplication), ('bypassrls', r.rolbypassrls)) x (attribute, yes) WHERE x.yes
)
SELECT coalesce(r.rolname, 'everybody') || ': ' || g.privilege_type || ' ' || string_agg(DISTINCT g.object, ', ' ORDER BY g.object)
FROM granted g LEFT JOIN pg_roles r ON r.oid = g.grantee
WHERE g.grantee = 0 OR r.rolname IN ('command', 'query', 'replicator', 'standby', 'pgpool', 'exporter')
GROUP BY r.rolname, g.privilege_type ORDER BY 1`

// privileges are all that the roles of the services may do. The role migrator owns the tables.
const privileges = `
command: CONNECT database
command: DELETE public.bids, public.idempotency_keys, public.refresh_families
command: EXECUTE public.heartbeat(), wal.commits()
command: INSERT public.bids, public.cancelled_bids, public.idempotency_keys, public.products(name model color category image_url release_price release_date), public.raffles(product_id seller_id starts_at ends_at), public.refresh_families, public.users(login password_hash)
command: SELECT public.bids, public.cancelled_bids, public.heartbeats, public.idempotency_keys, public.products, public.raffles, public.refresh_families, public.timelines, public.users
command: UPDATE public.idempotency_keys(request_hash answer created_at), public.products(name model color category image_url release_price release_date), public.raffles(starts_at ends_at closed_at), public.refresh_families(token previous nonce rotated_at), public.users(password_hash)
command: USAGE public.bid_ids, schema wal
everybody: EXECUTE public.before_commit(), public.change_raffle(), public.commit_position(), public.current_timeline(), public.highest_price(), public.known_position(), public.node_position(), public.position_text(), public.raffle_lock(), public.refuse_cancelled(), public.timeline_branches(), public.visible_position()
everybody: USAGE schema public
exporter: CONNECT database
exporter: MEMBER pg_monitor
pgpool: CONNECT database
pgpool: MEMBER pg_monitor
query: CONNECT database
query: EXECUTE wal.commits(), wal.committed(), wal.history()
query: SELECT public.bids(raffle_id id user_id size price quantity created_at), public.heartbeats, public.products, public.raffles, public.timelines
query: USAGE schema wal
replicator: CONNECT database
replicator: EXECUTE public.heartbeat(), wal.commits(), wal.committed(), wal.history()
replicator: IS replication
replicator: MEMBER pg_read_all_stats
replicator: SELECT public.bids, public.heartbeats, public.products, public.raffles, public.timelines
replicator: USAGE schema wal
standby: IS replication
`

// Each role may do what its statements need and nothing else. A new privilege must be added to the list, with a
// reason.
func TestPrivilegesAreTheList(t *testing.T) {
	db := testenv.NewDatabase(t)
	rows, err := connect(t, db.URL("postgres")).Query(t.Context(), privilegesSQL)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(got, "\n"); text != strings.TrimSpace(privileges) {
		t.Errorf("the roles may do\n%s\nand not\n%s", text, privileges)
	}
}
