// Package opspage is the page for operators and the feed behind it. The replicator and query serve the same page, each with
// what it knows itself and with the reports of the other services (its peers), so that a service that is stuck is seen on
// the page of another one. The page loads nothing but itself, and it only shows: what changes something asks for the token
// of an admin (Guard).
package opspage

import (
	"encoding/json"
	"math"
	"strconv"
)

// Report is what one service knows. All of it is JSON at GET /ops/state, which peers read each second. Fields may be added.
// A reader skips unknown fields.
type Report struct {
	Service  string    `json:"service"`  // "replicator" or "query"
	Instance string    `json:"instance"` // host:port of its page
	At       int64     `json:"at"`       // by the clock of the service, in milliseconds since the Unix epoch
	Waits    bool      `json:"waits"`    // another replicator works
	Operable bool      `json:"operable"` // it takes the tokens of admins
	Verdict  Verdict   `json:"verdict"`
	Figures  []Figure  `json:"figures,omitempty"`
	Rebuild  *Rebuild  `json:"rebuild,omitempty"`
	Compared *Compared `json:"compared,omitempty"`
	Nodes    []Node    `json:"nodes,omitempty"`
	Paths    []Path    `json:"paths,omitempty"`
	Events   []Event   `json:"events,omitempty"` // the last ones, oldest first
}

// Level says how much something matters.
type Level string

// The levels. Good needs nobody, Doubt passes by itself as a rule, Bad needs somebody.
const (
	Good  Level = "good"
	Doubt Level = "doubt"
	Bad   Level = "bad"
)

// Verdict is the state of a service in one sentence.
type Verdict struct {
	Level Level  `json:"level"`
	Text  string `json:"text"`
}

// Figure is one number in large print, with its unit.
type Figure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Level Level  `json:"level,omitempty"` // "" is Good
}

// Rebuild is how far a rebuild has come.
type Rebuild struct {
	Why        string   `json:"why"`            // a sentence
	Step       string   `json:"step,omitempty"` // what it does now
	Rows       int64    `json:"rows"`
	Expected   int64    `json:"expected"` // rows, an estimate; 0: not known yet
	PerSecond  int64    `json:"per_second"`
	ETASeconds int64    `json:"eta_seconds"`
	Slot       string   `json:"slot,omitempty"`
	WaitsFor   []string `json:"waits_for,omitempty"` // open transactions
}

// Compared is what is known of the read model against the primary.
type Compared struct {
	Off       bool     `json:"off,omitempty"` // nothing is compared in the background
	Passes    int      `json:"passes"`
	LastPass  int64    `json:"last_pass,omitempty"` // in milliseconds since the Unix epoch; 0: none yet
	Keys      int64    `json:"keys"`
	Divergent int      `json:"divergent"`
	Findings  []string `json:"findings,omitempty"`
	Problem   string   `json:"problem,omitempty"` // why something could not be compared
	Asked     *Asked   `json:"asked,omitempty"`
}

// Asked is a comparison that an operator has asked for: the running one, or the last one.
type Asked struct {
	Repair  bool   `json:"repair,omitempty"`
	Running bool   `json:"running"`
	Step    string `json:"step,omitempty"`
	Done    int64  `json:"done"`
	Total   int64  `json:"total"`
	Result  string `json:"result,omitempty"`
	Level   Level  `json:"level,omitempty"`
}

// Node is a database node as the service sees it.
type Node struct {
	Address  string `json:"address"`
	Role     string `json:"role"` // "primary", "closed primary", "standby", or "no answer"
	Timeline uint32 `json:"timeline,omitempty"`
	Position string `json:"position,omitempty"`
	Behind   string `json:"behind,omitempty"` // WAL of the primary that the node does not show yet
	Level    Level  `json:"level"`
}

// Path is a read path as one instance of query sees it. Micros is how long its last own lookup took, in microseconds, and 0
// if there was no answer; Problem then says why. The reads are those of clients within the last seconds.
type Path struct {
	Name      string  `json:"name"`
	Micros    int64   `json:"micros"`
	LagMillis int64   `json:"lag_ms"` // -1: not known
	Reads     float64 `json:"reads"`  // a second
	P99Micros int64   `json:"p99_micros,omitempty"`
	Spared    bool    `json:"spared,omitempty"` // its breaker is open
	Problem   string  `json:"problem,omitempty"`
}

// Plot says what is drawn over the last 15 minutes. Its series follow each other in each Sample.
type Plot struct {
	Title  string   `json:"title"`
	Unit   string   `json:"unit"` // "ms" or "/s"
	Series []string `json:"series"`
}

// Value is a number of a sample. NaN is null in JSON: there was none.
type Value float64

// MarshalJSON rounds to three digits after the point, which is more than a plot shows.
func (v Value) MarshalJSON() ([]byte, error) {
	if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, math.Round(float64(v)*1000)/1000, 'f', -1, 64), nil
}

// Exists says whether there is a number.
func (v Value) Exists() bool { return !math.IsNaN(float64(v)) }

// None is a Value that does not exist.
func None() Value { return Value(math.NaN()) }

// Peer is another service as this one hears it.
type Peer struct {
	Address string `json:"address"`
	Silent  int64  `json:"silent_ms"` // since it was heard last; -1: never heard
	// Report is the service's last report; nil: it has sent none.
	Report json.RawMessage `json:"report,omitempty"`
}

// frame is what the page gets each second.
type frame struct {
	Own    Report `json:"own"`
	Peers  []Peer `json:"peers"`
	Sample Sample `json:"sample"`
}

// history is what the page gets when it connects.
type history struct {
	Plots   []Plot   `json:"plots"`
	Minutes int      `json:"minutes"`
	Samples []Sample `json:"samples"`
}
