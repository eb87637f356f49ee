package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// A program that ends is started again; at the end it gets its signal, and is waited for.
func TestAProgramIsKept(t *testing.T) {
	dir := t.TempDir()
	program, notes := filepath.Join(dir, "program"), filepath.Join(dir, "notes")
	script := `#!/bin/sh
trap 'echo stopped >>` + notes + `; exit 0' INT
echo "$1" >>` + notes + `
[ "$(wc -l <` + notes + `)" -lt 2 ] && exit 1
while :; do sleep 0.05; done
`
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		keep(ctx, slog.New(slog.DiscardHandler), syscall.SIGINT, program, "start")
	}()
	noted := func() string { b, _ := os.ReadFile(notes); return string(b) }
	testenv.Eventually(t, 10*time.Second, "it is started again", func() bool { return strings.Count(noted(), "start\n") == 2 })
	stop()
	<-ended
	if got := noted(); got != "start\nstart\nstopped\n" {
		t.Errorf("it noted %q", got)
	}
}

// Only sockets of PostgreSQL and their lock files go.
func TestSocketsOfAnEarlierContainerAreRemoved(t *testing.T) {
	c := &Config{Socket: t.TempDir()}
	for _, name := range []string{".s.PGSQL.5432", ".s.PGSQL.5432.lock", "other"} {
		if err := os.WriteFile(filepath.Join(c.Socket, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.clearSockets(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(c.Socket)
	if err != nil || len(left) != 1 || left[0].Name() != "other" {
		t.Errorf("left are %v, %v", left, err)
	}
}
