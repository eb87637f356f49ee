package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const (
	backlog         = 2_000_000
	backlogPerTx    = 1_000
	largeTx         = 1_500_000
	baselineSlot    = "baseline"
	drainTime       = 5 * time.Minute
	lookEvery       = 5 * time.Millisecond
	maxReplicatorMB = 150
)

// replication is a primary with a replicator and Redis, and a second slot of the same publication.
type replication struct {
	*build
	primary    *testenv.Postgres
	redis      *testenv.Redis
	replicator *testenv.Program
	addr       string
	db         *pgx.Conn
}

func (v *build) startReplication(b *testing.B, scale string) *replication {
	b.Helper()
	s := &replication{build: v, primary: v.startPrimary(b), redis: v.startRedis(b)}
	v.seed(b, s.primary, scale)
	s.replicator, s.addr = v.start(b, "replicator", "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+s.redis.URL())
	conn, err := pgx.Connect(context.Background(), s.primary.URL("postgres"))
	if err != nil {
		b.Fatal(err)
	}
	s.db = conn
	b.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return s
}

func (s *replication) exec(b *testing.B, sql string, args ...any) {
	b.Helper()
	if _, err := s.db.Exec(context.Background(), sql, args...); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
}

// flushed is the primary's position.
func (s *replication) flushed(b *testing.B) string {
	b.Helper()
	var lsn string
	if err := s.db.QueryRow(context.Background(), "SELECT pg_current_wal_flush_lsn()::text").Scan(&lsn); err != nil {
		b.Fatal(err)
	}
	return lsn
}

type replicatorStatus struct {
	State     string `json:"state"`
	LSN       string `json:"lsn"`
	LastError string `json:"last_error"`
	Rebuilds  int    `json:"rebuilds"`
}

func (s *replication) report(b *testing.B) (st replicatorStatus) {
	b.Helper()
	r, err := http.Get("http://" + s.addr + "/v1/status")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&st); err != nil {
		b.Fatal(err)
	}
	return st
}

// reached waits until the checkpoint in Redis has reached the position.
func (s *replication) reached(b *testing.B, lsn string) {
	b.Helper()
	deadline := time.Now().Add(drainTime)
	for {
		st := s.report(b)
		if st.LSN != "" && parseLSN(b, st.LSN) >= parseLSN(b, lsn) {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("at %s after %v, wanted %s: %+v", st.LSN, drainTime, lsn, st)
		}
		<-time.After(lookEvery)
	}
}

func parseLSN(b *testing.B, s string) uint64 {
	b.Helper()
	at, err := lsn.ParsePosition(s)
	if err != nil {
		b.Fatal(err)
	}
	return uint64(at.LSN)
}

// insertBids inserts bids into the open raffles of the demo data, every (raffle, size) alike.
func (s *replication) insertBids(b *testing.B, rows, perTx int) {
	b.Helper()
	s.exec(b, `CREATE OR REPLACE PROCEDURE insert_bids(total int, per_tx int) LANGUAGE plpgsql AS $$
		BEGIN
			FOR i IN 1..total / per_tx LOOP
				INSERT INTO bids (raffle_id, user_id, size, price, created_at, idempotency_key, request_hash)
				SELECT 901 + j % 100, 1 + (i * 7 + j) % 2000, 250 + 5 * ((i + j / 100) % 11), 1000 * (1 + (j % 5000 * 7919) % 500), clock_timestamp(),
					'bench-' || nextval('bench_key'), '\x30313233343536373839616263646566'
				FROM generate_series(1, per_tx) j;
				COMMIT;
			END LOOP;
		END $$`)
	s.exec(b, "CREATE SEQUENCE IF NOT EXISTS bench_key")
	s.exec(b, fmt.Sprintf("CALL insert_bids(%d, %d)", rows, perTx))
}

// BenchmarkReplication drains a backlog of 2,000,000 bids into Redis with every structure kept, beside
// pg_recvlogical, which drains the same backlog of the same publication to nowhere, in turns; and beside the commit BENCH_BASE.
func BenchmarkReplication(b *testing.B) {
	var systems []*replication
	for _, v := range builds(b) {
		s := v.startReplication(b, "demo")
		s.reached(b, s.flushed(b))
		systems = append(systems, s)
	}
	s := systems[0]
	s.exec(b, "SELECT pg_create_logical_replication_slot('"+baselineSlot+"', 'pgoutput')")
	var ratios []float64
	for round := range rounds {
		for _, other := range systems[1:] {
			other.drain(b, other.fall(b))
		}
		target := s.fall(b)
		// The second of the two finds the log in memory, so each goes first in turn.
		var base, ours float64
		if round%2 == 0 {
			base, ours = s.baseline(b, target), s.drain(b, target)
		} else {
			ours, base = s.drain(b, target), s.baseline(b, target)
		}
		ratios = append(ratios, ours/base)
		fmt.Printf("repl   round %d: pg_recvlogical %.0f rows/s   replicator %.0f rows/s   ratio %.2f\n", round+1, base, ours, ours/base)
	}
	slices.Sort(ratios)
	fmt.Printf("repl   median ratio to pg_recvlogical: %.2f\n", ratios[len(ratios)/2])
	b.ReportMetric(ratios[len(ratios)/2], "x-pg_recvlogical")
	s.large(b)
}

// fall stops the replicator, makes a backlog, and returns where it ends.
func (s *replication) fall(b *testing.B) (target string) {
	b.Helper()
	if code := s.replicator.Stop(b); code != 0 {
		b.Fatalf("the replicator of %s ended with %d", s.name, code)
	}
	s.insertBids(b, backlog, backlogPerTx)
	return s.flushed(b)
}

// baseline drains the backlog with pg_recvlogical and returns rows per second.
func (s *replication) baseline(b *testing.B, target string) float64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	begun := time.Now()
	c := exec.CommandContext(ctx, testenv.PostgresTool(b, "pg_recvlogical"), "-d", s.primary.URL("postgres"), "--slot", baselineSlot,
		"--start", "--no-loop", "--endpos", target, "-o", "proto_version=1", "-o", "publication_names=pyramid", "-o", "binary=true", "-o", "messages=true",
		"-f", "/dev/null")
	if out, err := testenv.Run(c); err != nil {
		b.Fatalf("pg_recvlogical: %v\n%s", err, out)
	}
	return backlog / time.Since(begun).Seconds()
}

// drain starts the replicator and returns rows per second until Redis holds the backlog.
func (s *replication) drain(b *testing.B, target string) float64 {
	b.Helper()
	before := s.cpu(b)
	begun := time.Now()
	s.replicator.Start(b)
	s.reached(b, target)
	took := time.Since(begun)
	after := s.cpu(b)
	fmt.Printf("repl   %s: drained in %.1f s; CPU per row:", s.name, took.Seconds())
	for _, name := range []string{"replicator", "redis", "primary"} {
		used := after[name] - before[name]
		if name == "replicator" { // a new process
			used = after[name]
		}
		fmt.Printf("  %s %.2f us", name, float64(used.Nanoseconds())/1000/backlog)
	}
	mb := peakMB(b, s.replicator.PID())
	fmt.Printf("; replicator at most %.0f MB\n", mb)
	if mb > maxReplicatorMB {
		b.Errorf("the replicator took %.0f MB, more than %d", mb, maxReplicatorMB)
	}
	return backlog / took.Seconds()
}

// large applies one transaction of 1,500,000 rows (P5).
func (s *replication) large(b *testing.B) {
	b.Helper()
	begun := time.Now()
	s.insertBids(b, largeTx, largeTx)
	wrote := time.Since(begun)
	s.reached(b, s.flushed(b))
	mb := peakMB(b, s.replicator.PID())
	fmt.Printf("repl   one transaction of %d rows: written in %.1f s, in Redis after %.1f s; replicator at most %.0f MB\n",
		largeTx, wrote.Seconds(), time.Since(begun).Seconds(), mb)
	b.ReportMetric(mb, "MB-large")
	if mb > maxReplicatorMB {
		b.Errorf("the replicator took %.0f MB, more than %d", mb, maxReplicatorMB)
	}
}

func (s *replication) cpu(b *testing.B) map[string]time.Duration {
	b.Helper()
	used := make(map[string]time.Duration)
	pids := map[string]int{"redis": s.redis.PID(), "primary": s.primary.PID()}
	if s.replicator.Running() {
		pids["replicator"] = s.replicator.PID()
	}
	for name, pid := range pids {
		t, err := treeCPU(pid)
		if err != nil {
			b.Fatal(err)
		}
		used[name] = t
	}
	return used
}

// peakMB is the largest resident size that a process had (proc(5): VmHWM).
func peakMB(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "status"))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	var kb float64
	if _, err := fmt.Sscan(after, &kb); err != nil {
		b.Fatal(err)
	}
	return kb * 1024 / 1e6
}
