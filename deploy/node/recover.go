package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

var walFile = regexp.MustCompile(`^[0-9A-F]{24}$|^[0-9A-F]{8}\.history$`)

// keepUnarchived gives the copy the WAL that this node had no time to archive: a server that was killed has not archived the
// segment that it wrote last. Recovery asks the archive first.
func (c *Config) keepUnarchived(fresh string) error {
	from, to := filepath.Join(c.Data, "pg_wal"), filepath.Join(fresh, "pg_wal")
	files, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	status := func(file fs.DirEntry, is string) bool {
		return exists(filepath.Join(from, "archive_status", file.Name()+is))
	}
	var archived time.Time
	for _, file := range files {
		if info, err := file.Info(); err == nil && status(file, ".done") && info.ModTime().After(archived) {
			archived = info.ModTime()
		}
	}
	for _, file := range files {
		info, err := file.Info()
		// PostgreSQL keeps old segments to write to them again. They are older than the last archived segment.
		if err != nil || !walFile.MatchString(file.Name()) || status(file, ".done") || !status(file, ".ready") && info.ModTime().Before(archived) {
			continue
		}
		if err := copyFile(filepath.Join(from, file.Name()), filepath.Join(to, file.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// recoverCopy lets PostgreSQL replay the WAL in a restored copy until it has reached its target, and returns the time of the last
// commit in it. Nobody else reaches that server: its socket is in a private folder. It archives nothing: what it has to archive
// waits until the node starts, because a timeline of a restore that was broken off must not be in the archive.
func (c *Config) recoverCopy(ctx context.Context, fresh string) (reached string, err error) {
	sockets, err := os.MkdirTemp("", "restore-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(sockets)
	log, err := os.Create(c.file("restore.log"))
	if err != nil {
		return "", err
	}
	defer log.Close()
	server := exec.Command(c.bin("postgres"), "-c", "config_file="+c.file("postgresql.conf"), "-c", "data_directory="+fresh,
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+sockets, "-c", "archive_command=",
		"-c", "synchronous_standby_names=", "-c", "default_transaction_read_only=off")
	server.Stdout, server.Stderr = log, log
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	if err := server.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	conn := connection{url: fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres sslmode=disable", sockets, c.Port), timeout: promoteTime}
	defer conn.close()
	reached, err = finish(ctx, &conn, ended)
	// After an error of its own the server has ended already.
	if errors.Is(err, errEnded) {
		return "", fmt.Errorf("%w; the end of %s:\n%s", err, log.Name(), tail(log.Name()))
	}
	stopErr := server.Process.Signal(syscall.SIGINT)
	return reached, errors.Join(err, stopErr, <-ended, withoutTarget(fresh))
}

var errEnded = errors.New("PostgreSQL has ended in recovery")

// finish waits for the end of the recovery, and makes the ids of the history that is given up no ids of others.
func finish(ctx context.Context, conn *connection, ended <-chan error) (reached string, err error) {
	for {
		select {
		case err := <-ended:
			return "", errors.Join(errEnded, err)
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		recovers := true
		err := conn.use(ctx, func(ctx context.Context, c *pgx.Conn) error {
			return c.QueryRow(ctx, "SELECT pg_is_in_recovery(), coalesce(pg_last_xact_replay_timestamp(), now())::text").Scan(&recovers, &reached)
		})
		// Before it is consistent, the server takes no connection.
		if err == nil && !recovers {
			break
		}
	}
	pyramid := connection{url: strings.Replace(conn.url, "dbname=postgres", "dbname=pyramid", 1), timeout: promoteTime}
	defer pyramid.close()
	err = pyramid.use(ctx, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, skipIDs)
		return err
	})
	return reached, err
}

// skipIDs: the ids after the moment were given to clients.
const skipIDs = `SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, coalesce(last_value, 0) + 10000000)
	FROM pg_sequences WHERE schemaname = 'public' AND data_type = 'bigint'::regtype`

// withoutTarget removes the settings of the recovery. They would stop a standby that is copied from these data at the target.
func withoutTarget(data string) error {
	path := filepath.Join(data, "postgresql.auto.conf")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var kept bytes.Buffer
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("restore_command")) && !bytes.HasPrefix(line, []byte("recovery_target")) &&
			!bytes.HasPrefix(line, []byte("# Recovery settings generated")) {
			kept.Write(line)
		}
	}
	return os.WriteFile(path, kept.Bytes(), 0o600)
}

// tail is the end of a log.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-1500):])
}
