package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// FrontDoor is what a front door leads to: addresses (host:port on 127.0.0.1) of one instance of each service,
// the public one and the admin one, which says whether the service is ready.
type FrontDoor struct {
	Command, CommandAdmin, Query, QueryAdmin string
	// Limits are of deploy/haproxy/render, NAME=value each. Without them one address may use the whole front
	// door.
	Limits []string
}

// StartFrontDoor starts HAProxy with the configuration of deploy/haproxy, rendered as for the local stack,
// and returns it with its URL and the URL of its metrics.
func StartFrontDoor(t testing.TB, f FrontDoor) (h *HAProxy, url, metrics string) {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := testFolder(t, memoryRun, "frontdoor", nil)
	front, stats := FreePort(t), FreePort(t)
	render := exec.CommandContext(t.Context(), filepath.Join(root, "deploy/haproxy/render"), dir, dir)
	render.Env = append(os.Environ(), "FRONT_MAXCONN=4000", "ADDRESS_CONNS=1000000", "ADDRESS_RATE=1000000", "ADDRESS_FEEDS=1000000",
		fmt.Sprintf("HTTP_PORT=%d", front), fmt.Sprintf("STATS_PORT=%d", stats),
		"COMMAND_PORT="+port(f.Command), "COMMAND_ADMIN_PORT="+port(f.CommandAdmin), "QUERY_PORT="+port(f.Query), "QUERY_ADMIN_PORT="+port(f.QueryAdmin))
	render.Env = append(render.Env, f.Limits...)
	if out, err := render.CombinedOutput(); err != nil {
		t.Fatalf("deploy/haproxy/render: %v\n%s", err, out)
	}
	config, err := os.ReadFile(filepath.Join(dir, "haproxy", "haproxy.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", front)
	h = StartHAProxy(t, string(config), addr)
	return h, "http://" + addr, fmt.Sprintf("http://127.0.0.1:%d/metrics", stats)
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
