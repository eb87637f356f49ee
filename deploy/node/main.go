// Command node keeps one database node of a cluster of two and a witness: it decides how PostgreSQL starts (start),
// keeps the node in its role (agent), and changes roles (promote, switchover).
//
// The problem: of two nodes exactly one may take writes, whatever fails and whoever starts what, and the node that
// takes over must have every acknowledged bid. The obvious ways fail: a node that only asks its peer takes a cut link
// for a dead peer; a failover without a record of what the standby lacks loses bids; an old primary that is started by
// hand comes back writable.
//
// The protocol: the witness keeps one row: who leads, in which term, and whether the other node is in sync. It is only
// changed by statements that name what they expect (see Record).
//
//  1. Commits wait for the standby. A leader whose standby is away first records that at the witness, then goes on
//     alone. If the witness does not answer, its commits wait (Sight.sync).
//  2. A node leads once the record names it, which needs a standby in sync. repmgrd calls `node promote` when it has
//     lost the leader and the witness has lost it, too. A switchover changes the record on purpose.
//  3. A node starts closed: its sessions can't write. Only its agent opens it, after the witness has said that it leads. A
//     leader that reaches neither witness nor standby closes itself.
//  4. A leader that reads another name in the record stops. The guard then makes its data the new leader's past, and
//     it starts as a standby.
//
// Invariant: a commit is acknowledged only by a node that the record names, and it is on both nodes unless the record
// says that they are not in sync, in which case only the same node can lead.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
)

const usage = `usage: node init | start | agent | promote [--force] | switchover | lead | show

  init        makes the first node's data and the witness's record, if there is none yet
  start       prepares the data and becomes PostgreSQL
  agent       keeps the node in its role until SIGTERM
  promote     makes this node the leader; --force although it may lack acknowledged bids
  switchover  gives the lead of this node to its standby
  lead        makes this node the leader of a witness that has lost its record
  show        prints how the node is, as JSON

The environment says which node: NODE, NODE_ID, PEER, DATA_DIR, CONF_DIR, SOCKET_DIR, PORT, PG_BIN, PGSERVICEFILE, PGPASSFILE.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := do(ctx, strings.Join(os.Args[1:], " ")); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func do(ctx context.Context, verb string) error {
	verbs := map[string]func(context.Context, *Config, *slog.Logger) error{
		"init":            func(ctx context.Context, c *Config, _ *slog.Logger) error { return first(ctx, c) },
		"start":           guard,
		"agent":           agent,
		"promote":         func(ctx context.Context, c *Config, _ *slog.Logger) error { return promote(ctx, c, false) },
		"promote --force": func(ctx context.Context, c *Config, _ *slog.Logger) error { return promote(ctx, c, true) },
		"switchover":      func(ctx context.Context, c *Config, _ *slog.Logger) error { return switchover(ctx, c) },
		"lead":            lead,
		"show":            show,
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

// first makes the first node. The record is made last, so that an attempt that was broken off can be repeated.
func first(ctx context.Context, c *Config) error {
	w := newWitness()
	defer w.close()
	record, err := w.Read(ctx)
	if err != nil {
		return fmt.Errorf("ask the witness: %w", err)
	}
	if record.Leader != "" {
		return nil
	}
	if err := initialise(ctx, c); err != nil {
		return err
	}
	return w.First(ctx, c.Node)
}

// lead is for the operator who knows that this node has all bids, after the witness has lost its record.
func lead(ctx context.Context, c *Config, _ *slog.Logger) error {
	w := newWitness()
	defer w.close()
	if err := w.First(ctx, c.Node); errors.Is(err, errDeposed) {
		return errors.New("the witness has a record; use `node promote` or `node switchover`")
	} else if err != nil {
		return err
	}
	return nil
}

// Shown is what `node show` prints. Times and positions are as PostgreSQL writes them.
type Shown struct {
	Node     string `json:"node"`
	Role     string `json:"role"` // primary, standby, witness, or down
	Writable bool   `json:"writable"`
	Timeline int64  `json:"timeline,omitempty"`
	Waits    bool   `json:"waits"` // commits wait for the standby
	// Following: a standby receives WAL, or a primary's standby streams.
	Following bool   `json:"following"`
	Witness   bool   `json:"witness"` // the witness answers; only then the rest is known
	Leader    string `json:"leader,omitempty"`
	Term      int64  `json:"term,omitempty"`
	InSync    bool   `json:"in_sync"`
}

func show(ctx context.Context, c *Config, _ *slog.Logger) error {
	out := Shown{Node: c.Node, Role: "down"}
	if l, err := newServer(c).Look(ctx); err == nil {
		out.Role = map[bool]string{true: "primary", false: "standby"}[l.Primary]
		out.Writable, out.Timeline, out.Waits, out.Following = l.Primary && !l.Closed, l.Timeline, l.Waits, l.Streaming || l.Follows
		if c.isWitness() {
			out.Role, out.Writable = "witness", false
		}
	}
	if r, err := newWitness().Read(ctx); err == nil {
		out.Witness, out.Leader, out.Term, out.InSync = true, r.Leader, r.Term, r.InSync
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}
