package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/deploy/certs"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/preflight"
)

// checkWith runs "check" with further variables and returns its report and exit status.
func (s *system) checkWith(more ...string) (r preflight.Report, status int) {
	s.t.Helper()
	p := testenv.StartProcess(s.t, testenv.Process{Path: testenv.Binary(s.t, "./replicator"), Args: []string{"check", "--json"}, Env: append([]string{
		"PRIMARY_URL=" + s.dbs.URL("replicator"), "REDIS_URL=" + s.server.URL(), s.server.Trust()}, more...)})
	status = p.Wait(s.t)
	s.must(json.Unmarshal([]byte(p.Output()), &r))
	return r, status
}

// found is the line about something; it fails if there is none.
func (s *system) found(r preflight.Report, on, what string) preflight.Line {
	s.t.Helper()
	for _, l := range r.Lines {
		if l.On == on && l.What == what {
			return l
		}
	}
	s.t.Fatalf("nothing about %s of %s in %+v", what, on, r.Lines)
	return preflight.Line{}
}

// is fails unless the line about something has the level, and its text has all words. Everything that is not ok says what
// to do.
func (s *system) is(r preflight.Report, level preflight.Level, on, what string, words ...string) {
	s.t.Helper()
	l := s.found(r, on, what)
	if l.Level != level || (level == preflight.OK) != (l.Do == "") {
		s.t.Errorf("%s of %s is %s (%s; do: %s), want %s", what, on, l.Level, l.Found, l.Do, level)
	}
	for _, word := range words {
		if !strings.Contains(l.Found+l.Do, word) {
			s.t.Errorf("%s of %s: %q does not say %q", what, on, l.Found+"; "+l.Do, word)
		}
	}
}

func TestCheckFindsNothingOnFitServers(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.StartPostgres(t, testenv.Set("max_slot_wal_keep_size", "8GB")))
	r, status := s.checkWith()
	if status != 0 || r.Worst != preflight.OK {
		t.Errorf("before the first run: exit status %d, %+v", status, r)
	}
	s.is(r, preflight.OK, "redis", "read model", "none yet")
	keys, err := s.redis.DBSize(s.ctx).Result()
	s.must(err)
	if keys != 0 {
		t.Errorf("check has left %d keys in Redis", keys)
	}
	s.replicate()
	s.bids(1000)
	s.equal()
	if r, status = s.checkWith(); status != 0 {
		t.Errorf("beside a running replicator: exit status %d, %+v", status, r)
	}
	s.is(r, preflight.OK, "redis", "read model", fmt.Sprint(s.position().Epoch))
	s.is(r, preflight.OK, "primary", "slot "+s.position().Slot, "is read")
	s.expect("check", 0, "ok  ", "wal_level", "maxmemory-policy")
}

func TestCheckFindsWhatIsWrongOnThePrimary(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t, testenv.Set("wal_level", "replica"), testenv.Set("max_replication_slots", "1"), testenv.Set("max_wal_senders", "2"),
		testenv.Set("max_slot_wal_keep_size", "-1"), testenv.Set("wal_sender_timeout", "0"))
	s := newSystem(t, server)
	s.exec("ALTER ROLE replicator NOREPLICATION")
	s.exec("REVOKE pg_read_all_stats FROM replicator")
	s.exec("REVOKE SELECT ON raffles FROM replicator")
	s.exec("REVOKE EXECUTE ON FUNCTION wal.commits(pg_lsn, pg_lsn) FROM replicator")
	s.exec("ALTER PUBLICATION pyramid DROP TABLE products")
	r, status := s.checkWith()
	if status != 2 || r.Worst != preflight.Fail {
		t.Errorf("exit status %d, worst %s", status, r.Worst)
	}
	s.is(r, preflight.Fail, "primary", "wal_level", "replica", "restart")
	s.is(r, preflight.Warn, "primary", "max_replication_slots", "1, of which", "raise it")
	s.is(r, preflight.Warn, "primary", "max_wal_senders", "2, of which")
	s.is(r, preflight.Warn, "primary", "max_slot_wal_keep_size", "no limit")
	s.is(r, preflight.Warn, "primary", "wal_sender_timeout", "off")
	s.is(r, preflight.Fail, "primary", "role", "ALTER ROLE replicator REPLICATION")
	s.is(r, preflight.Warn, "primary", "statistics", "GRANT pg_read_all_stats")
	s.is(r, preflight.Warn, "primary", "transactions", "not known")
	s.is(r, preflight.Fail, "primary", "tables", "no SELECT on public.raffles,")
	s.is(r, preflight.Fail, "primary", "functions", "no EXECUTE on wal.commits,")
	s.is(r, preflight.Fail, "primary", "publication", "every change of bids, raffles and products")
	s.is(r, preflight.Fail, "primary", "replication connection")
	s.exec("DROP PUBLICATION pyramid")
	r, _ = s.checkWith()
	s.is(r, preflight.Fail, "primary", "publication", "no publication pyramid")
	server.Stop(t)
	r, status = s.checkWith()
	s.is(r, preflight.Fail, "primary", "server", "start the primary")
	if status != 2 {
		t.Errorf("exit status %d", status)
	}
	s.is(r, preflight.OK, "redis", "server")
}

func TestCheckFindsSlotsAndTransactions(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.StartPostgres(t, testenv.Set("max_replication_slots", "3"), testenv.Set("max_slot_wal_keep_size", "8GB"), testenv.Set("max_prepared_transactions", "1")))
	s.exec("SELECT pg_create_logical_replication_slot('pyramid_7', 'pgoutput'), pg_create_logical_replication_slot('pyramid_8', 'pgoutput'), pg_create_logical_replication_slot('pyramid_green_7', 'pgoutput')")
	other, err := pgx.Connect(s.ctx, s.dbs.URL("postgres"))
	s.must(err)
	t.Cleanup(func() { other.Close(s.ctx) })
	_, err = other.Exec(s.ctx, "BEGIN; CREATE TABLE writes (i int)")
	s.must(err)
	testenv.EventuallyNoError(t, patience, "the transaction is long", func() error {
		r, status := s.checkWith()
		if l := s.found(r, "primary", "transactions"); l.Level != preflight.Warn || status != 1 {
			return fmt.Errorf("%d, %+v", status, l)
		}
		s.is(r, preflight.Warn, "primary", "transactions", fmt.Sprintf("pid %d", other.PgConn().PID()))
		return nil
	})
	_, err = other.Exec(s.ctx, "PREPARE TRANSACTION 'forgotten'")
	s.must(err)
	testenv.EventuallyNoError(t, patience, "the prepared transaction is long", func() error {
		r, _ := s.checkWith()
		if l := s.found(r, "primary", "transactions"); !strings.Contains(l.Do, "ROLLBACK PREPARED 'forgotten'") {
			return fmt.Errorf("%+v", l)
		}
		return nil
	})
	s.exec("ROLLBACK PREPARED 'forgotten'")
	r, _ := s.checkWith()
	s.is(r, preflight.Warn, "primary", "max_replication_slots", "can have 2;")
	s.is(r, preflight.Warn, "primary", "slot pyramid_7", "start the replicator")
	s.is(r, preflight.Warn, "primary", "slot pyramid_green_7", "PIPELINE=green replicator drop")
}

func TestCheckFindsWhatIsWrongInRedis(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.must(s.redis.ConfigSet(s.ctx, "maxmemory-policy", "allkeys-lru").Err())
	s.must(s.redis.ConfigSet(s.ctx, "appendonly", "no").Err())
	s.must(s.redis.Do(s.ctx, "ACL", "SETUSER", "default", "-zadd", "-restore").Err())
	r, status := s.checkWith()
	s.is(r, preflight.Fail, "redis", "maxmemory-policy", "allkeys-lru", "noeviction")
	s.is(r, preflight.Warn, "redis", "persistence", "no append-only file")
	s.is(r, preflight.Fail, "redis", "commands", "may not send ZADD")
	if status != 2 {
		t.Errorf("exit status %d", status)
	}
	s.must(s.redis.Do(s.ctx, "ACL", "SETUSER", "default", "+zadd").Err())
	s.must(s.redis.ConfigSet(s.ctx, "appendonly", "yes").Err())
	s.must(s.redis.ConfigSet(s.ctx, "appendfsync", "no").Err())
	s.exec("ALTER TABLE bids SET (autovacuum_enabled = off)")
	s.bids(20_000)
	r, _ = s.checkWith()
	if l := s.found(r, "redis", "memory"); strings.Contains(l.Found, "epochs of 0 bids") || !strings.Contains(l.Found, "epochs of ") {
		t.Errorf("before the first ANALYZE: %s", l.Found)
	}
	s.exec("ANALYZE bids")
	s.must(s.redis.ConfigSet(s.ctx, "maxmemory-policy", "noeviction").Err())
	for _, c := range []struct {
		limit string
		level preflight.Level
	}{{"1mb", preflight.Fail}, {"2mb", preflight.Warn}, {"100mb", preflight.OK}} { // the last one has room for the key below
		s.must(s.redis.ConfigSet(s.ctx, "maxmemory", c.limit).Err())
		r, _ = s.checkWith()
		s.is(r, c.level, "redis", "memory", "two epochs of 20,000 bids take 2 MB to 10 MB")
	}
	s.is(r, preflight.Warn, "redis", "commands", "RESTORE")
	s.is(r, preflight.Warn, "redis", "persistence", "appendfsync no")
	s.must(s.redis.Set(s.ctx, "pyramid:pipeline", "green", 0).Err())
	r, _ = s.checkWith()
	s.is(r, preflight.Fail, "redis", "read model", "pipeline green")
	r, _ = s.checkWith("PIPELINE=green")
	s.is(r, preflight.OK, "redis", "read model", "none yet")
	s.server.Kill(t)
	r, _ = s.checkWith()
	s.is(r, preflight.Fail, "redis", "server", "start Redis")
}

// The users of deploy/redis/users.acl: the replicator's may do all that is needed, query's may not.
func TestCheckKnowsTheRightsOfTheUsers(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	authority, err := certs.NewAuthority(time.Now())
	s.must(err)
	pem, err := authority.Issue("redis", time.Now(), "127.0.0.1")
	s.must(err)
	s.server = testenv.StartRedis(t, testenv.Secured(authority.Certificate(), pem))
	r, _ := s.checkWith("REDIS_URL=" + s.server.URLOf("replicator"))
	s.is(r, preflight.OK, "redis", "commands")
	s.is(r, preflight.OK, "redis", "persistence", "appendfsync is not known")
	r, status := s.checkWith("REDIS_URL=" + s.server.URLOf("query"))
	s.is(r, preflight.Fail, "redis", "commands", "SET of pyramid:checkpoint", "ZADD")
	if status != 2 {
		t.Errorf("exit status %d", status)
	}
}
