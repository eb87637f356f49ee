package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// loadtest runs the load tester of this program's folder against the containers. It is told where they are on the host,
// and how to read the databases as the role replicator.
func loadtest(ctx context.Context, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	replicator, err := environment(ctx, "replicator-1", "/conf/replicator/replicator-1.env")
	if err != nil {
		return err
	}
	at := map[string]string{}
	for name, network := range map[program]string{
		"haproxy": "front", "postgres-1": "data", "postgres-2": "data", "redis": "data",
		"command-1": "front", "command-2": "front", "query-1": "front", "query-2": "front", "replicator-1": "data", "replicator-2": "data",
	} {
		c, err := inspect(ctx, name)
		if err != nil {
			return err
		}
		if at[name.service()], err = c.address(network); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	// The names of the containers mean nothing on the host.
	hosts := strings.NewReplacer("@node1:", "@"+at["node1"]+":", ",node2:", ","+at["node2"]+":", "@redis:", "@"+at["redis"]+":")
	var ready []string
	for i, service := range []string{"command", "query", "replicator"} {
		for n := 1; n <= 2; n++ {
			ready = append(ready, fmt.Sprintf("http://%s:%d/readyz", at[fmt.Sprintf("%s-%d", service, n)], 9081+i))
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(self), "loadtest"), args...)
	cmd.Env = append(os.Environ(), "LOADTEST_CTL="+self, "LOADTEST_URL=http://"+at["haproxy"]+":8080", "LOADTEST_READY="+strings.Join(ready, ","),
		"LOADTEST_DATABASE_URL="+hosts.Replace(replicator["PRIMARY_URL"]), "LOADTEST_REDIS_URL="+hosts.Replace(replicator["REDIS_URL"]))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// An interrupt reaches both; the load tester ends what it has begun.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd.Run()
}

// environment reads a container's file of variables.
func environment(ctx context.Context, p program, path string) (map[string]string, error) {
	archive, err := docker(ctx, "cp", p.container()+":"+path, "-")
	if err != nil {
		return nil, err
	}
	files := tar.NewReader(bytes.NewReader([]byte(archive)))
	if _, err := files.Next(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	text, err := io.ReadAll(files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	variables := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			return nil, errors.New(path + " has a line that is no variable")
		}
		variables[name] = strings.Trim(value, "'")
	}
	return variables, nil
}
