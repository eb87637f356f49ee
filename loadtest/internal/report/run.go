// Package report holds the result of a load run and shows it: on a terminal, as JSON and as one HTML
// file that needs nothing else. It also merges the results of several generators and compares two runs.
package report

import (
	"slices"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
)

// Version is that of the JSON form. A reader refuses any other.
const Version = 2

// Run is the result of one load run, complete enough to be shown, merged and compared later.
type Run struct {
	Version int    `json:"version"`
	Name    string `json:"name"`    // "level 4: write-only"
	Purpose string `json:"purpose"` // one sentence: what the run is to show
	Level   string `json:"level"`   // "1" to "7", "mix", "paths", "drill" or "reconcile"

	Started time.Time     `json:"started"`
	Elapsed time.Duration `json:"elapsed_ns"`
	Commit  string        `json:"commit"` // of the generator's source, "" if not known
	// Services are the commits of the services' sources, by program, as far as they are known.
	Services []Field `json:"services,omitempty"`
	Seed     uint64  `json:"seed"`

	Config      []Field `json:"config,omitempty"`      // what was asked for, in the order of display
	Environment []Field `json:"environment,omitempty"` // cores, memory, kernel, versions

	Verdict         Verdict          `json:"verdict"`
	Reconciliations []Reconciliation `json:"reconciliations,omitempty"` // Postgres, then Redis
	Users           Users            `json:"users"`
	Arrivals        *Arrivals        `json:"arrivals,omitempty"` // nil in the closed model
	Steps           []Step           `json:"steps"`
	Samples         []Sample         `json:"samples,omitempty"`
	Errors          []ErrorKind      `json:"errors,omitempty"`
	Paths           []PathComparison `json:"paths,omitempty"`

	Cores     int          `json:"cores"` // of the machine that CPU speaks of
	CPU       []ProcessCPU `json:"cpu,omitempty"`
	Generator Generator    `json:"generator"`
	Agents    []Agent      `json:"agents,omitempty"` // empty if one process made the whole load
}

// Field is a named value of the configuration or the environment.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Verdict says whether the run counts and whether it held what was asked of it.
type Verdict struct {
	// Conditions are all that was judged, kept or not.
	Conditions []Condition `json:"conditions,omitempty"`
	// Failed holds reasons that have no limit, "interrupted before its end" say.
	Failed []string `json:"failed,omitempty"`
	// Invalid holds the reasons why the figures mean nothing, "agent 10.0.0.7:9500 was lost" say.
	Invalid []string `json:"invalid,omitempty"`
}

// Condition is something that the run had to hold. Limit and Got carry their units.
type Condition struct {
	Name  string `json:"name"`  // "p99 of bid"
	Limit string `json:"limit"` // "at most 250 ms"
	Got   string `json:"got"`   // "181 ms"
	OK    bool   `json:"ok"`
}

// Add adds a condition.
func (v *Verdict) Add(name, limit, got string, ok bool) {
	v.Conditions = append(v.Conditions, Condition{Name: name, Limit: limit, Got: got, OK: ok})
}

// Valid reports whether the run's figures mean anything.
func (v Verdict) Valid() bool { return len(v.Invalid) == 0 }

// Passed reports whether the run is valid, was judged at all, and held every condition.
func (v Verdict) Passed() bool {
	missed := func(c Condition) bool { return !c.OK }
	return v.Valid() && len(v.Failed) == 0 && len(v.Conditions) > 0 && !slices.ContainsFunc(v.Conditions, missed)
}

// Reconciliation compares the bids that were acknowledged with those that a store holds.
type Reconciliation struct {
	Store            string        `json:"store"`                  // "Postgres" or "Redis"
	Acknowledged     int64         `json:"acknowledged"`           // distinct keys answered with 201
	Stored           int64         `json:"stored"`                 // distinct keys of this run found
	Lost             int64         `json:"lost"`                   // acknowledged and not found
	Doubled          int64         `json:"doubled"`                // keys with more than one bid
	Unknown          int64         `json:"unknown"`                // keys without an answer
	UnknownCommitted int64         `json:"unknown_committed"`      // of those, found
	Unexpected       int64         `json:"unexpected"`             // stored although refused, without any key, or in Redis alone
	Altered          int64         `json:"altered"`                // stored with another size, price, quantity, user or time than was sent or answered
	Misplaced        int64         `json:"misplaced"`              // out of its place in an order of the read model
	Retries          int64         `json:"retries"`                // requests sent again with the same key
	LostKeys         []string      `json:"lost_keys,omitempty"`    // the first few
	DoubledKeys      []string      `json:"doubled_keys,omitempty"` // the first few
	UnknownKeys      []string      `json:"unknown_keys,omitempty"` // the first few of the unknown and committed
	Differences      []string      `json:"differences,omitempty"`  // the first few of the altered and misplaced, in words
	Waited           time.Duration `json:"waited_ns"`              // until the store had no lag
	Took             time.Duration `json:"took_ns"`                // the comparison itself
	Problem          string        `json:"problem,omitempty"`      // why it could not be completed; then it holds nothing
}

// Clean reports whether the comparison was completed and every bid is stored once, as it was sent, in its place.
func (r Reconciliation) Clean() bool {
	return r.Problem == "" && r.Lost == 0 && r.Doubled == 0 && r.Unexpected == 0 && r.Altered == 0 && r.Misplaced == 0
}

// Users are the virtual users that the run was to have, and those that began.
type Users struct {
	Asked   int `json:"asked"`
	Started int `json:"started"`
}

// Arrivals are the iterations of the open model. Asked are those whose intended start comes before the end of the run, also
// if that end came early. Dropped are those of them that no user was free to start before the end.
type Arrivals struct {
	Asked   int64 `json:"asked"`
	Started int64 `json:"started"`
	Dropped int64 `json:"dropped"`
}

// Word says in a line how the comparison came out.
func (r Reconciliation) Word() string {
	switch {
	case r.Problem != "":
		return "not compared: " + r.Problem
	case r.Clean():
		return progress.Grouped(r.Acknowledged) + " acknowledged, all there"
	}
	var parts []string
	for _, p := range []struct {
		n    int64
		what string
	}{{r.Lost, "lost"}, {r.Doubled, "doubled"}, {r.Unexpected, "that should not be there"}, {r.Altered, "altered"}, {r.Misplaced, "out of place"}} {
		if p.n > 0 {
			parts = append(parts, progress.Grouped(p.n)+" "+p.what)
		}
	}
	return strings.Join(parts, ", ")
}

// Step is what one named request did over the whole run.
type Step struct {
	Name    string    `json:"name"`
	OK      int64     `json:"ok"`
	Failed  int64     `json:"failed"`
	Service Histogram `json:"service"` // good requests, from sending to the answer
	Total   Histogram `json:"total"`   // good requests, from the intended start; in the closed model Service and the opening of a connection
	// Failures are the failed requests, from the intended start.
	Failures Histogram `json:"failures"`
	// Part says that another step counts what these are parts of: attempts, or the opening of connections. Sums leave
	// them out.
	Part    bool     `json:"part,omitempty"`
	Seconds []Second `json:"seconds,omitempty"`
}

// Second is the record of a step's requests that ended in one second of the run.
type Second struct {
	At     int       `json:"at"` // whole seconds since the start; absent seconds had no request
	OK     int64     `json:"ok"`
	Failed int64     `json:"failed,omitempty"`
	Total  Histogram `json:"total"` // of good requests; two digits are enough
}

// Sample is an observation at one moment of the run.
type Sample struct {
	At          int      `json:"at"`              // whole seconds since the start
	Asked       int64    `json:"asked,omitempty"` // arrivals of the open model whose intended start lies in this second
	ActiveUsers int      `json:"active_users"`
	LagMS       *float64 `json:"lag_ms,omitempty"` // of the read model, milliseconds; nil if not observed
	Busy        *float64 `json:"busy,omitempty"`   // part of the generator's machine that was busy, from 0 to 1
}

// ErrorKind counts the failures of one kind in one step.
type ErrorKind struct {
	Step   string        `json:"step"`
	Kind   string        `json:"kind"` // "status 503", "timeout"
	Count  int64         `json:"count"`
	First  time.Duration `json:"first_ns"` // since the start
	Sample string        `json:"sample,omitempty"`
}

// GeneratorProcess is the name of the load generator itself among the processes.
const GeneratorProcess = "generator"

// ProcessCPU is the processor time that a process and its children used during the run.
type ProcessCPU struct {
	Name string        `json:"name"` // GeneratorProcess, "command", "query", "Postgres primary", "Redis"
	CPU  time.Duration `json:"cpu_ns"`
}

// Generator is the cost of making the load, all agents together.
type Generator struct {
	CPU     time.Duration `json:"cpu_ns"`
	Warning string        `json:"warning,omitempty"` // set when the generator limited the load
}

// Agent is one of several generators.
type Agent struct {
	Name        string        `json:"name"`            // host:port of its control channel
	ClockOffset time.Duration `json:"clock_offset_ns"` // its clock minus the controller's
	OK          int64         `json:"ok"`
	Failed      int64         `json:"failed"`
	CPU         time.Duration `json:"cpu_ns"`
}

// PathComparison sets the read paths side by side on the same keys.
type PathComparison struct {
	Name      string       `json:"name"` // "newest 50 bids of a size of a raffle"
	Blocks    int          `json:"blocks"`
	Rate      float64      `json:"rate"`     // requests per second and path; 0 in the closed model
	Compared  int64        `json:"compared"` // keys whose bodies were compared between the paths
	Different int64        `json:"different"`
	Sample    string       `json:"sample,omitempty"` // of a difference
	Base      string       `json:"base"`             // the path that ratios are relative to
	Paths     []PathResult `json:"paths"`
}

// PathResult is one path's part in a comparison.
type PathResult struct {
	Path    string        `json:"path"`  // "redis", "replica", "standby", "primary", "scan"
	Cache   string        `json:"cache"` // "warm" or "cold"
	OK      int64         `json:"ok"`
	Failed  int64         `json:"failed"`
	Latency Histogram     `json:"latency"`
	Blocks  []Histogram   `json:"blocks,omitempty"` // Latency by block, in the order of the blocks
	Lag     time.Duration `json:"lag_ns"`           // the median of Read-Lag-Ms
	Explain string        `json:"explain,omitempty"`
}
