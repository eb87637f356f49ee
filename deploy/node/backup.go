package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
)

// stanza is pgBackRest's name of the system. Base backups and the archived WAL of both nodes are in one repository.
const stanza = "pyramid"

const backupUsage = `usage: node backup [--if-leading] [full | diff | incr]

Makes a base backup of this node, which must lead. The default is incr, and the first backup is full. It ends with the list of
the backups that are there.
`

// hasBackups says whether the configuration has backups.
func (c *Config) hasBackups() bool { return exists(c.file("pgbackrest.conf")) }

// pgbackrest runs pgBackRest for this node's data, or for a copy of them, and returns what it has printed.
func (c *Config) pgbackrest(ctx context.Context, data string, args ...string) (string, error) {
	name := args[0]
	if name != "info" { // which asks the repository alone
		args = append(args, "--pg1-path="+data)
	}
	args = append([]string{"--config=" + c.file("pgbackrest.conf"), "--stanza=" + stanza}, args...)
	command := exec.CommandContext(ctx, "pgbackrest", args...)
	// On SIGTERM it ends in order; a backup that was broken off is gone on with.
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	if exists(data) {
		command.Dir = data // archive-push insists on it
	}
	out, err := command.CombinedOutput()
	if err != nil {
		return string(out), failed("pgbackrest "+name, err, out)
	}
	return string(out), nil
}

func backup(ctx context.Context, c *Config, args []string) error {
	flags := cli.NewFlags("node backup", backupUsage)
	lenient := flags.Bool("if-leading", false, "do nothing if the other node leads, for a timer on both nodes")
	if err := cli.Parse(flags, args, 1, os.Stdout); err != nil {
		return helped(err)
	}
	kind := "incr"
	if flags.NArg() > 0 {
		kind = flags.Arg(0)
	}
	if !slices.Contains([]string{"full", "diff", "incr"}, kind) {
		return fmt.Errorf("%q is no kind of backup\n%s", kind, backupUsage)
	}
	if leader, err := c.mayBackUp(ctx); err != nil {
		return err
	} else if leader != c.Node && *lenient {
		return nil
	} else if leader != c.Node {
		return fmt.Errorf("%s leads: run `node backup` there", leader)
	}
	// Neither changes anything if all is well.
	if err := c.createStanza(ctx, c.Data); err != nil {
		return err
	}
	if _, err := c.pgbackrest(ctx, c.Data, "check"); err != nil {
		return fmt.Errorf("the WAL does not get to the repository: %w", err)
	}
	if _, err := c.pgbackrest(ctx, c.Data, "backup", "--type="+kind); err != nil {
		return err
	}
	// The exporter shows the time, and an alert tells of a backup that is missing.
	note := fmt.Sprintf("ALTER DATABASE pyramid SET pyramid.last_backup = '%d'", time.Now().Unix())
	if err := newServer(c).in(ctx, "postgres", promoteTime, note); err != nil {
		return err
	}
	out, err := c.pgbackrest(ctx, c.Data, "info")
	fmt.Print(out)
	return err
}

// helped is nil if help was asked for, which cli.Parse has given.
func helped(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

// mayBackUp names the node that leads, which is the one to back up: the archive of the other one does not go on.
func (c *Config) mayBackUp(ctx context.Context) (leader string, err error) {
	if c.isWitness() || !c.hasBackups() {
		return "", fmt.Errorf("%s has no backups: %s is missing", c.Node, c.file("pgbackrest.conf"))
	}
	w := newWitness()
	defer w.close()
	record, err := w.Read(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the witness: %w", err)
	}
	return record.Leader, nil
}

// createStanza makes the repository's part for this system. If the part is another system's, pgBackRest refuses.
func (c *Config) createStanza(ctx context.Context, data string) error {
	_, err := c.pgbackrest(ctx, data, "stanza-create", "--no-online")
	return err
}

var wholeSegment = regexp.MustCompile("^[0-9A-F]{24}$")

// fillArchive makes the repository's part of a new system, and archives the segments that the former leader did not. A standby
// archives nothing, so after a promotion the last segments of the former timeline may be nowhere else. The former leader has
// archived its segments in their order, so the newest one in the repository ends the gap.
func (c *Config) fillArchive(ctx context.Context) error {
	if !c.hasBackups() {
		return nil
	}
	// A backup that is at work has the lock, and the repository's part.
	if err := c.createStanza(ctx, c.Data); err != nil && !strings.Contains(err.Error(), "unable to acquire lock") {
		return err
	}
	files, err := os.ReadDir(filepath.Join(c.Data, "pg_wal"))
	if err != nil {
		return err
	}
	own := "" // the present timeline, which goes to the archive by itself
	for _, file := range slices.Backward(files) {
		name := file.Name()
		if !wholeSegment.MatchString(name) {
			continue
		}
		if own == "" {
			own = name[:8]
		}
		if name[:8] == own {
			continue
		}
		out, err := c.pgbackrest(ctx, c.Data, "archive-push", "pg_wal/"+name)
		if strings.Contains(out, "already exists") {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
