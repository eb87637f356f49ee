package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// loadtest runs the load tester of this program's folder against the containers. It is told where they are on the host, whom
// it can trust, and how to read the databases as the role replicator. A drill empties Redis as the operator.
func loadtest(ctx context.Context, args []string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	at, err := addresses(ctx)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "pyramid-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	authority := filepath.Join(folder, "ca.crt")
	if text, err := read(ctx, "haproxy", "/conf/haproxy/ca.crt"); err != nil {
		return err
	} else if err := os.WriteFile(authority, []byte(text), 0o600); err != nil {
		return err
	}
	databases, err := databaseURLs(ctx, at, authority)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(self), "loadtest"), args...)
	cmd.Env = append(os.Environ(), databases...)
	cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+authority, "SSL_CERT_DIR="+os.DevNull, "LOADTEST_CTL="+self, "LOADTEST_URL=https://"+at["haproxy"]+":8080",
		"LOADTEST_READY="+strings.Join(readyURLs(at), ","))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// An interrupt reaches both; the load tester ends what it has begun.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd.Run()
}

// addresses are those of the containers, as the host sees them. Their names mean nothing there; their certificates name both.
func addresses(ctx context.Context) (map[string]string, error) {
	at := map[string]string{}
	for name, network := range map[program]string{
		"haproxy": "front", "postgres-1": "data", "postgres-2": "data", "redis": "data",
		"command-1": "front", "command-2": "front", "query-1": "front", "query-2": "front", "replicator-1": "data", "replicator-2": "data",
	} {
		c, err := inspect(ctx, name)
		if err != nil {
			return nil, err
		}
		if at[name.service()], err = c.address(network); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return at, nil
}

func readyURLs(at map[string]string) (urls []string) {
	for i, service := range []string{"command", "query", "replicator"} {
		for n := 1; n <= 2; n++ {
			urls = append(urls, fmt.Sprintf("https://%s:%d/readyz", at[fmt.Sprintf("%s-%d", service, n)], 9081+i))
		}
	}
	return urls
}

// databaseURLs are the variables that lead to PostgreSQL and Redis. The volume of all passwords is reached through the
// container that has made them, which has ended.
func databaseURLs(ctx context.Context, at map[string]string, authority string) ([]string, error) {
	passwords := map[string]string{}
	for _, name := range []string{"replicator", "operator"} {
		text, err := read(ctx, "prepare", "/secrets/"+name+".password")
		if err != nil {
			return nil, err
		}
		passwords[name] = strings.TrimSpace(text)
	}
	nodes := []deploy.Address{{Host: at["node1"], Port: 5432}, {Host: at["node2"], Port: 5432}}
	redis := url.URL{Scheme: "rediss", User: url.UserPassword("operator", passwords["operator"]), Host: at["redis"] + ":6379", Path: "/0"}
	parameters := append((&deploy.TLS{CA: authority}).Parameters(), "target_session_attrs", "read-write")
	return []string{
		"LOADTEST_DATABASE_URL=" + deploy.DatabaseURL("replicator", passwords["replicator"], nodes, parameters...), "LOADTEST_REDIS_URL=" + redis.String(),
	}, nil
}

// read reads a file of a container, which need not run.
func read(ctx context.Context, p program, path string) (string, error) {
	archive, err := docker(ctx, "cp", p.container()+":"+path, "-")
	if err != nil {
		return "", err
	}
	files := tar.NewReader(strings.NewReader(archive))
	if _, err := files.Next(); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	text, err := io.ReadAll(files)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return string(text), nil
}
