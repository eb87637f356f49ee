// Command readme runs the lines of README.md on a clean clone, on the ports of `make up`, and removes the clone. It fails at the
// first line that fails, and if an answer of the API is an error.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("every line of the README did what it says")
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("/var/tmp", "readme-") // the user postgres may enter it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	clone := filepath.Join(dir, "clone")
	if err := errors.Join(os.Chmod(dir, 0o755), in(ctx, ".", os.Stdout, "git", "clone", "--quiet", ".", clone)); err != nil { //nolint:gosec // it holds no secrets
		return err
	}
	text, err := os.ReadFile(filepath.Join(clone, "README.md"))
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "lines")
	if err := os.WriteFile(file, []byte(script(string(text))), 0o600); err != nil {
		return err
	}
	// Also if the context has ended.
	defer func() {
		err = errors.Join(err, in(context.WithoutCancel(ctx), clone, io.Discard, "make", "down", "clean"))
	}()
	var out bytes.Buffer
	err = in(ctx, clone, io.MultiWriter(os.Stdout, &out), "bash", "-v", file)
	if refused := refusal.Find(out.Bytes()); refused != nil {
		err = errors.Join(err, fmt.Errorf("an answer is %s", bytes.TrimSpace(refused)))
	}
	return err
}

var refusal = regexp.MustCompile(`(?m)^HTTP/1\.1 [45].*$`)

// in runs a program in a folder.
func in(ctx context.Context, dir string, out io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
