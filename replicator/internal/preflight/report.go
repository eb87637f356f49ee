// Package preflight looks whether the servers are fit for the replicator: before its first run, and after a change of a
// server. It changes nothing on them. What a server refuses to tell is said to be not known.
package preflight

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// Level is how bad something is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // the replicator works, but not as well as it should, or not in every situation
	Fail Level = "FAIL" // the replicator does not work
)

// Line is what was found about one thing.
type Line struct {
	Level Level  `json:"level"`
	On    string `json:"on"` // "primary" or "redis"
	What  string `json:"what"`
	Found string `json:"found"`
	Do    string `json:"do,omitempty"` // what an operator does next; empty for OK
}

// Report is all that was found, in the order in which it is best put right.
type Report struct {
	Worst Level  `json:"worst"`
	Lines []Line `json:"lines"`

	on string
}

func (r *Report) add(level Level, do, what, format string, args ...any) {
	if level == OK {
		do = ""
	}
	r.Lines = append(r.Lines, Line{level, r.on, what, fmt.Sprintf(format, args...), do})
	if level == Fail || level == Warn && r.Worst == OK {
		r.Worst = level
	}
}

func (r *Report) ok(what, format string, args ...any) { r.add(OK, "", what, format, args...) }

// Servers are what is looked at.
type Servers struct {
	Primary  []wal.Server
	Redis    *redis.Client
	Pipeline wal.Pipeline
}

// answerTime bounds what is asked of one server.
const answerTime = 10 * time.Second

// Run looks at both servers. Servers that do not answer are lines of the report.
func Run(ctx context.Context, s Servers) Report {
	r := &Report{Worst: OK, on: "primary"}
	asked, cancel := context.WithTimeout(ctx, answerTime)
	found := r.primary(asked, s)
	cancel()
	r.on = "redis"
	asked, cancel = context.WithTimeout(ctx, answerTime)
	defer cancel()
	r.redis(asked, s, found)
	return *r
}

// facts are what the primary says about itself, as far as Redis is compared with it.
type facts struct {
	system uint64 // 0: not known
	bids   int64  // the planner's estimate; -1: not known
}

// clocks compares a clock with that of this machine. A lag is measured by the primary's clock alone, and times of bids
// come from there, too.
func (r *Report) clocks(ahead time.Duration) {
	const much = time.Second
	level := OK
	if ahead.Abs() >= much {
		level = Warn
	}
	r.add(level, "set the clocks (chrony): certificates, logs and the times of bids go by them", "clock", "%+.3f s against this machine's", ahead.Seconds())
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", n>>20) }
