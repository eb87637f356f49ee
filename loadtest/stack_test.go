package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// stack is the whole system with its front door and some demo data.
type stack struct {
	primary, standby           *testenv.Postgres
	pgpool                     *testenv.Pgpool
	command, query, replicator *testenv.Program
	url                        string
}

func startStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{primary: testenv.StartPostgres(t)}
	redis := testenv.StartRedis(t)
	t.Setenv("SEED_URL", s.primary.URL("migrator"))
	var out, notes bytes.Buffer
	if err := run(t.Context(), strings.Fields("seed --scale demo --bids 5000"), &out, &notes); err != nil {
		t.Fatalf("seed: %v\n%s", err, notes.String())
	}
	s.standby = s.primary.StartStandby(t)
	s.pgpool = testenv.StartPgpool(t, s.primary, s.standby)
	var command, query string
	s.command, command = startService(t, "command", "PRIMARY_URL="+s.primary.URL("command"), "JWT_KEYS_DIR="+t.TempDir())
	s.replicator, _ = startService(t, "replicator", "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+redis.URL())
	s.query, query = startService(t, "query", "PRIMARY_URL="+s.primary.URL("query"), "REPLICA_URL="+s.pgpool.URL("query"),
		"STANDBY_URL="+s.standby.URL("query"), "REDIS_URL="+redis.URL(), "ALLOW_READ_PATH=true")
	front := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	testenv.StartHAProxy(t, fmt.Sprintf(frontDoor, front, command, query), front)
	s.url = "http://" + front
	return s
}

// frontDoor is the routing of deploy/haproxy in its essence.
const frontDoor = `
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 15s
frontend front
    bind %s
    http-request return status 200 content-type text/html string "<p>static</p>" if { path /static.html }
    use_backend command if !{ method GET HEAD }
    use_backend command if { path /.well-known/jwks.json }
    default_backend query
backend command
    server command1 %s
backend query
    server query1 %s
`

func startService(t *testing.T, name string, environment ...string) (*testenv.Program, string) {
	t.Helper()
	listen := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	admin := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	p := testenv.StartProcess(t, testenv.Process{
		Path:  testenv.Binary(t, "./"+name),
		Env:   append(environment, "LISTEN_ADDR="+listen, "ADMIN_ADDR="+admin),
		Ready: "http://" + admin + "/readyz",
	})
	return p, listen
}
