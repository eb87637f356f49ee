package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/paths"
)

// stack is the whole system with its front door and some demo data.
type stack struct {
	primary, standby           *testenv.Postgres
	pgpool                     *testenv.Pgpool
	redis                      *testenv.Redis
	command, query, replicator *testenv.Program
	url                        string
}

func startStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{primary: testenv.StartPostgres(t), redis: testenv.StartRedis(t)}
	t.Setenv("SEED_URL", s.primary.URL("migrator"))
	var out, notes bytes.Buffer
	if err := program.Run(t.Context(), strings.Fields("seed --scale demo --bids 5000"), &out, &notes); err != nil {
		t.Fatalf("seed: %v\n%s", err, notes.String())
	}
	s.standby = s.primary.StartStandby(t)
	s.pgpool = testenv.StartPgpool(t, s.primary, s.standby)
	var command, commandAdmin, query, queryAdmin string
	s.command, command, commandAdmin = startService(t, "command", "PRIMARY_URL="+s.primary.URL("command"), "LOGIN_CORES=2", "JWT_KEYS_DIR="+t.TempDir())
	s.replicator, _, _ = startService(t, "replicator", "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+s.redis.URL())
	s.query, query, queryAdmin = startService(t, "query", testenv.Unlimited, "PRIMARY_URL="+s.primary.URL("query"), "REPLICA_URL="+s.pgpool.URL("query"),
		"STANDBY_URL="+s.standby.URL("query"), "REDIS_URL="+s.redis.URL(), "ALLOW_READ_PATH=true", "JWKS_URL=http://"+command+"/.well-known/jwks.json")
	door := testenv.FrontDoor{Command: []testenv.Instance{{Public: command, Admin: commandAdmin}}, Query: []testenv.Instance{{Public: query, Admin: queryAdmin}}}
	_, s.url, _ = testenv.StartFrontDoor(t, door)
	// A service that has just started refuses the SQL paths until it has seen a heartbeat.
	for _, path := range paths.All {
		testenv.Eventually(t, 20*time.Second, path+" to answer", func() bool { return s.answers(t.Context(), path) })
	}
	return s
}

// answers says whether a path answers a list.
func (s *stack) answers(ctx context.Context, path string) bool {
	door := client.New(s.url, client.WithAttempts(1))
	defer door.Close()
	_, err := door.Bids(ctx, 901, client.BidFilter{Size: 270}, client.Through(path))
	return err == nil
}

func startService(t *testing.T, name string, environment ...string) (program *testenv.Program, listen, admin string) {
	t.Helper()
	listen = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	admin = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	program = testenv.StartProcess(t, testenv.Process{
		Path:  testenv.Binary(t, "./"+name),
		Env:   append(environment, "LISTEN_ADDR="+listen, "ADMIN_ADDR="+admin),
		Ready: "http://" + admin + "/readyz",
	})
	return program, listen, admin
}
