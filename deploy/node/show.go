package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

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

// showTime bounds each question of show, which is asked again and again.
const showTime = 800 * time.Millisecond

// watchEvery is the pause between two answers of watch.
const watchEvery = 300 * time.Millisecond

// viewer asks the local server and the witness how the node is.
type viewer struct {
	config  *Config
	server  *Server
	witness *Witness
}

func newViewer(c *Config) *viewer { return &viewer{c, newServer(c), newWitness()} }

// watch prints how the node is, again and again, until ctx ends.
func watch(ctx context.Context, c *Config, _ *slog.Logger) error {
	v := newViewer(c)
	for shown := v.look(ctx); ctx.Err() == nil; shown = v.look(ctx) {
		if err := shown.print(); err != nil {
			return err
		}
		_ = sleep.For(ctx, watchEvery) // the loop asks ctx
	}
	return nil
}

func (s Shown) print() error { return json.NewEncoder(os.Stdout).Encode(s) }

// look asks the server and the witness, each for showTime at most. Who does not answer is down.
func (v *viewer) look(ctx context.Context) Shown {
	ctx, cancel := context.WithTimeout(ctx, showTime)
	defer cancel()
	out := Shown{Node: v.config.Node, Role: "down"}
	var asked sync.WaitGroup
	asked.Go(func() {
		if r, err := v.witness.Read(ctx); err == nil {
			out.Witness, out.Leader, out.Term, out.InSync = true, r.Leader, r.Term, r.InSync
		}
	})
	l, err := v.server.Look(ctx)
	asked.Wait()
	switch {
	case err != nil:
	case v.config.isWitness():
		out.Role, out.Timeline = "witness", l.Timeline
	default:
		out.Role = map[bool]string{true: "primary", false: "standby"}[l.Primary]
		out.Writable, out.Timeline, out.Waits, out.Following = l.Primary && !l.Closed, l.Timeline, l.Waits, l.Streaming || l.Follows
	}
	return out
}
