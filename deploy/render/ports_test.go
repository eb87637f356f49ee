package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func TestPortsAreDistinctAndFree(t *testing.T) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	taken, free, free2 := l.Addr().(*net.TCPAddr).Port, testenv.FreePort(t), testenv.FreePort(t)
	for _, c := range []struct{ name, lines, want string }{
		{"free", fmt.Sprintf("redis REDIS_PORT=%d\nquery-1 QUERY_PORT=%d\n", free, free2), ""},
		{"of a program that runs", fmt.Sprintf("redis REDIS_PORT=%d 17\n", taken), ""},
		{"taken", fmt.Sprintf("redis REDIS_PORT=%d\n", taken), fmt.Sprintf("port %d (redis) can't be used, and this stack did not take it: it is taken by pid %d (", taken, os.Getpid())},
		{"needed twice", fmt.Sprintf("redis REDIS_PORT=%d\nquery-2 QUERY_PORT=%d\n", free, free), fmt.Sprintf("REDIS_PORT (redis) and QUERY_PORT (query-2) both need port %d", free)},
		{"both", fmt.Sprintf("a A=%d\nb B=%d\nc C=%d\n", free, free, taken), fmt.Sprintf("both need port %d: the admin port of a service is its port + 1000, a further instance is at + 10\nport %d (c)", free, taken)},
		{"of clients", "redis REDIS_PORT=32768\nquery-1 QUERY_PORT=32767 17\n", "port 32768 (redis) is not below 32768"},
		{"no port", "redis REDIS_PORT=x\n", `"x" is not a port`},
		{"no claim", "redis\n", `"redis" is not PROGRAM`},
	} {
		list, err := readClaims(strings.NewReader(c.lines))
		if err == nil {
			err = checkPorts(list)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
