package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
)

const restoreUsage = `usage: node restore --to TIME | --lsn X/X | --latest [FLAGS]

Makes this node the leader of the system as it was at a moment, from the backups. PostgreSQL must be stopped on both nodes,
and the witness must run. It restores beside the data and changes them only at the end, when the copy has reached the moment:
the witness then names this node, the old data move to DATA_DIR.before-restore, and what came after the moment is given up.
The other node copies the restored data when it is started. If the system is on other machines than before, --from names the
repository of the old one.

Base backups that were made after the moment stay in the repository, but belong to the history that was given up. So make a
full backup as soon as the node leads: node backup full.
`

// Target is the moment that a restore goes back to, and where from.
type Target struct {
	To       time.Time // the last commit is not later
	LSN      string
	Latest   bool
	Timeline string // the history to follow; "": the newest
	Set      string // a base backup; "": the last one before the moment
	From     string // another repository
	Check    bool   // nothing but the arguments is looked at
}

func parseTarget(args []string, now time.Time) (t Target, err error) {
	flags := cli.NewFlags("node restore", restoreUsage)
	to := flags.String("to", "", "`time` as 2026-01-31T12:00:00Z, with a zone")
	flags.StringVar(&t.LSN, "lsn", "", "`position` in the WAL, as in a Commit-LSN behind the timeline")
	flags.BoolVar(&t.Latest, "latest", false, "the end of the archived WAL")
	flags.StringVar(&t.Timeline, "timeline", "", "the `number` of the timeline to follow, if an earlier restore was a mistake")
	flags.StringVar(&t.Set, "set", "", "the base `backup` to begin with, as `node backup` lists it")
	flags.StringVar(&t.From, "from", "", "`folder` of another system's repository")
	flags.BoolVar(&t.Check, "check", false, "check the arguments, and do nothing")
	if err := cli.Parse(flags, args, 0, os.Stdout); err != nil {
		return t, err
	}
	given := 0
	for _, is := range []bool{*to != "", t.LSN != "", t.Latest} {
		if is {
			given++
		}
	}
	if given != 1 {
		return t, errors.New("give one of --to, --lsn and --latest; --help explains them")
	}
	if *to == "" {
		return t, nil
	}
	if t.To, err = time.Parse(time.RFC3339Nano, strings.Replace(*to, " ", "T", 1)); err != nil {
		return t, fmt.Errorf("--to %s: a time with its zone is needed, as 2026-01-31T12:00:00Z", *to)
	}
	if t.To.After(now) {
		return t, fmt.Errorf("--to %s is in the future", *to)
	}
	return t, nil
}

// options are pgBackRest's.
func (t Target) options() []string {
	options := []string{"restore"}
	add := func(name, value string) {
		if value != "" {
			options = append(options, "--"+name+"="+value)
		}
	}
	switch {
	case t.LSN != "":
		add("type", "lsn")
		add("target", t.LSN)
	case !t.Latest:
		add("type", "time")
		add("target", t.To.UTC().Format("2006-01-02 15:04:05.000000+00"))
	}
	if !t.Latest {
		add("target-action", "promote")
	}
	add("target-timeline", t.Timeline)
	add("set", t.Set)
	add("repo1-path", t.From)
	return options
}

// restore restores into a copy, makes the witness name this node, and puts the copy in the place of the data, in this order. If
// it is broken off before the witness was told, nothing has changed. After that, no data but the copy can lead, because they
// are of an earlier generation, and the restore has to be done again.
func restore(ctx context.Context, c *Config, args []string, log *slog.Logger) error {
	target, err := parseTarget(args, time.Now())
	if err != nil || target.Check {
		return helped(err)
	}
	lock, err := c.lockRestore()
	if err != nil {
		return err
	}
	defer lock.Close()
	w := newWitness()
	defer w.close()
	if _, err := c.mayRestore(ctx, w); err != nil {
		return err
	}
	// Its agent may not have come to it.
	if exists(c.Data) {
		if err := c.fillArchive(ctx); err != nil {
			log.Warn("the last WAL of this node is not archived", "error", err.Error())
		}
	}
	fresh := c.Data + ".restored"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	log.Info("restore the base backup", "into", fresh)
	if _, err := c.pgbackrest(ctx, fresh, target.options()...); err != nil {
		return err
	}
	if err := c.keepUnarchived(fresh); err != nil {
		return err
	}
	log.Info("replay the WAL", "log", c.file("restore.log"))
	reached, err := c.recoverCopy(ctx, fresh)
	if err != nil {
		return fmt.Errorf("the copy in %s did not reach the moment; the data are as before: %w", fresh, err)
	}
	if err := c.takeLead(ctx, w, fresh); err != nil {
		return err
	}
	fmt.Printf("%s holds the system as of %s; its old data are in %s. Start it, then the other node, then make a full backup.\n", c.Node, reached, c.aside())
	return nil
}

func (c *Config) aside() string { return c.Data + ".before-restore" }

// lockRestore keeps a second restore of this node away.
func (c *Config) lockRestore() (*os.File, error) {
	lock, err := os.OpenFile(c.file("restore.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(errors.New("another restore is at work"), lock.Close())
	}
	return lock, nil
}

// mayRestore refuses to give up a system that is at work. It returns the record.
func (c *Config) mayRestore(ctx context.Context, w *Witness) (Record, error) {
	switch {
	case c.isWitness() || !c.hasBackups():
		return Record{}, fmt.Errorf("%s has no backups: %s is missing", c.Node, c.file("pgbackrest.conf"))
	case c.PID() != 0:
		return Record{}, fmt.Errorf("PostgreSQL runs here (pid %d): stop it first, with its agent", c.PID())
	case askPeer(ctx, c).Answers:
		return Record{}, fmt.Errorf("%s runs: stop it first, with its agent", c.Peer)
	case exists(c.Data) && exists(c.aside()):
		return Record{}, fmt.Errorf("%s has the data of before an earlier restore: move or remove it", c.aside())
	}
	record, err := w.Read(ctx)
	if err != nil {
		return record, fmt.Errorf("ask the witness: %w", err)
	}
	return record, nil
}

// takeLead makes the restored copy the data of the leader.
func (c *Config) takeLead(ctx context.Context, w *Witness, fresh string) error {
	record, err := c.mayRestore(ctx, w)
	if err != nil {
		return err
	}
	generation := max(record.Generation, generationOf(fresh), generationOf(c.Data)) + 1
	if err := setGeneration(fresh, generation); err != nil {
		return err
	}
	if err := c.createStanza(ctx, fresh); err != nil {
		return err
	}
	if err := c.remove("resync", "rewinding", "initialising", "closed"); err != nil {
		return err
	}
	if err := w.Restored(ctx, record, c.Node, generation); err != nil {
		return err
	}
	if err := os.Rename(c.Data, c.aside()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, c.Data); err != nil {
		return err
	}
	syscall.Sync()
	return nil
}

// generationFile is in the data, so that every copy of them has it.
const generationFile = "generation"

// generationOf is how often the system had been restored when these data were made.
func generationOf(data string) int64 {
	text, err := os.ReadFile(filepath.Join(data, generationFile))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func setGeneration(data string, n int64) error {
	return os.WriteFile(filepath.Join(data, generationFile), fmt.Appendf(nil, "%d\n", n), 0o600)
}
