// Command node keeps one database node of a cluster of two and a witness: it decides how PostgreSQL starts (start),
// keeps the node in its role (agent), and changes roles (promote, switchover).
//
// The problem: exactly one of two nodes may take writes, whatever fails. The node that takes over must have every
// acknowledged bid. The obvious ways fail: a node that only asks its peer takes a cut link
// for a dead peer; a failover without a record of what the standby lacks loses bids; an old primary that is started by
// hand comes back writable.
//
// The protocol: the witness keeps one row: who leads, in which term, and whether the other node is in sync. It is only
// changed by statements that name what they expect (see Record).
//
//  1. Commits wait for the standby. A leader whose standby is away first records that at the witness, then goes on
//     alone. If the witness does not answer, its commits wait (Sight.sync).
//  2. A node leads once the record names it, which needs a standby in sync. repmgrd calls `node promote` when it has
//     lost the leader and the witness has lost it, too; the agent does the same for a leader that refuses connections. A
//     switchover changes the record on purpose.
//  3. A node starts closed: its sessions can't write. Its agent opens it after the witness has said that it leads, or once it
//     follows the leader as a standby. A leader that reaches neither witness nor standby closes itself.
//  4. A leader that reads another name in the record stops. The guard then makes its data the new leader's past, and
//     it starts as a standby.
//
// Invariant: a commit is acknowledged only by the node that the record names. It is on both nodes, unless the record says
// that they are not in sync; then no other node can lead.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/version"
)

const usage = `usage: node init | start | agent | run | promote [--force] | switchover | lead | show | watch | backup | restore

  init        makes the first node's data and the witness's record, if there is none yet
  start       prepares the data and becomes PostgreSQL
  agent       keeps the node in its role until SIGTERM
  run         makes the first node if it has to be made, and keeps PostgreSQL and the agent running until SIGTERM
  promote     makes this node the leader; --force although it may lack acknowledged bids
  switchover  gives the lead of this node to its standby
  lead        makes this node the leader of a witness that has lost its record
  show        prints how the node is, as JSON
  watch       prints that three times a second until SIGTERM, over connections that it keeps
  backup      makes a base backup of this node, which must lead (--help)
  restore     makes this node, which must be stopped, the leader of the system as it was at a moment (--help)

The environment says which node: NODE, NODE_ID, PEER, DATA_DIR, CONF_DIR, SOCKET_DIR, PORT, PG_BIN, PGSERVICEFILE, PGPASSFILE.`

func main() {
	if version.Print(os.Stdout, "node", os.Args[1:]) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := do(ctx, os.Args[1:]...); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func do(ctx context.Context, args ...string) error {
	verb, given := strings.Join(args, " "), []string(nil)
	if len(args) > 0 && (args[0] == "backup" || args[0] == "restore") {
		verb, given = args[0], args[1:]
	}
	verbs := map[string]func(context.Context, *Config, *slog.Logger) error{
		"init":            func(ctx context.Context, c *Config, _ *slog.Logger) error { return initNode(ctx, c) },
		"start":           guard,
		"agent":           agent,
		"run":             keepBoth,
		"promote":         func(ctx context.Context, c *Config, log *slog.Logger) error { return promote(ctx, c, log, false) },
		"promote --force": func(ctx context.Context, c *Config, log *slog.Logger) error { return promote(ctx, c, log, true) },
		"switchover":      func(ctx context.Context, c *Config, _ *slog.Logger) error { return switchover(ctx, c) },
		"lead":            lead,
		"show":            func(ctx context.Context, c *Config, _ *slog.Logger) error { return newViewer(c).look(ctx).print() },
		"watch":           watch,
		"backup":          func(ctx context.Context, c *Config, _ *slog.Logger) error { return backup(ctx, c, given) },
		"restore":         func(ctx context.Context, c *Config, log *slog.Logger) error { return restore(ctx, c, given, log) },
		// With two nodes there is no other standby that has to follow a new leader.
		"follow": func(context.Context, *Config, *slog.Logger) error { return nil },
	}
	run := verbs[verb]
	if slices.Contains([]string{"", "help", "-h", "--help"}, verb) {
		fmt.Println(usage)
		return nil
	} else if run == nil {
		return fmt.Errorf("unknown verb %q\n%s", verb, usage)
	}
	c, err := env.Parse(&Config{})
	if err != nil {
		return err
	}
	return run(ctx, c, slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("service", "node", "node", c.Node))
}

// agent runs until SIGTERM.
func agent(ctx context.Context, c *Config, log *slog.Logger) error {
	keep := func() error { return keepWitness(ctx, c, log) }
	if !c.isWitness() {
		keep = func() error { return newAgent(c, log).Run(ctx) }
	}
	if err := keep(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// initNode makes the first node and the record. Only a node that was made here and now enters itself: if there are data but no
// record, the witness has lost it, and somebody must say which node has all bids.
func initNode(ctx context.Context, c *Config) error {
	w := newWitness()
	defer w.close()
	record, err := w.Read(ctx)
	if err != nil {
		return fmt.Errorf("ask the witness: %w", err)
	}
	made := c.file("initialising")
	switch {
	case record.Leader != "":
		return c.remove("initialising")
	case exists(c.Data+"/PG_VERSION") && !exists(made):
		return errors.New("the witness has no record: run `node lead` on the node that has all bids")
	}
	if err := os.WriteFile(made, nil, 0o600); err != nil {
		return err
	}
	if err := initialise(ctx, c); err != nil {
		return err
	}
	if err := w.Enter(ctx, c.Node, 0); err != nil {
		return err
	}
	return c.remove("initialising")
}

// lead is for the operator who knows that this node has all bids, after the witness has lost its record.
func lead(ctx context.Context, c *Config, _ *slog.Logger) error {
	w := newWitness()
	defer w.close()
	if p := askPeer(ctx, c); p.Open || p.Timeline > max(c.controlTimeline(ctx), 1) {
		return fmt.Errorf("%s takes writes or is on a newer timeline: run `node lead` there, or stop it and take its data away", c.Peer)
	}
	err := w.Enter(ctx, c.Node, generationOf(c.Data))
	if errors.Is(err, errDeposed) {
		return errors.New("the witness has a record; use `node promote` or `node switchover`")
	}
	return err
}
