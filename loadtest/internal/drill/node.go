package drill

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The roles of a node.
const (
	rolePrimary = "primary"
	roleWitness = "witness"
	roleDown    = "down"
)

// Node is what a database node says of itself (`node show`).
type Node struct {
	Node     string `json:"node"`
	Role     string `json:"role"` // primary, standby, witness, or down
	Writable bool   `json:"writable"`
	Timeline int64  `json:"timeline"`
	Waits    bool   `json:"waits"` // commits wait for the standby
	// Following: a standby receives WAL, or a primary's standby streams.
	Following bool `json:"following"`
	// Witness: the node reaches the witness. Only then the rest is known.
	Witness bool   `json:"witness"`
	Leader  string `json:"leader"`
	Term    int64  `json:"term"`
	InSync  bool   `json:"in_sync"`
}

// parseNodes reads JSON objects, one after the other.
func parseNodes(text string) (list []Node, err error) {
	for dec := json.NewDecoder(strings.NewReader(text)); ; {
		var n Node
		switch err := dec.Decode(&n); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, fmt.Errorf("ctl nodes: %w in %q", err, text)
		}
		list = append(list, n)
	}
}

// leads says whether the services would write to the node: it takes writes and does not know that another node leads.
func (n Node) leads() bool {
	return n.Role == rolePrimary && n.Writable && (n.Leader == n.Node || !n.Witness)
}

// leaders are the nodes that the services would write to. More than one is a split brain.
func leaders(list []Node) (names []string) {
	for _, n := range list {
		if n.leads() {
			names = append(names, n.Node)
		}
	}
	return names
}

// ailing says what keeps the nodes from being whole; "" if nothing does.
func ailing(list []Node) string {
	leading := leaders(list)
	if len(leading) != 1 {
		return fmt.Sprintf("%d nodes lead: %s", len(leading), describe(list))
	}
	for _, n := range list {
		if what := n.ailing(n.Node == leading[0]); what != "" {
			return n.Node + " " + what
		}
	}
	return ""
}

func (n Node) ailing(leads bool) string {
	switch {
	case n.Role == roleDown:
		return "is down"
	case !n.Witness:
		return "does not reach the witness"
	case n.Role == roleWitness:
		return ""
	case n.Role == rolePrimary && !leads:
		return "is a second primary"
	case !n.Following:
		return "does not stream"
	case leads && !n.InSync:
		return "has a standby that is out of sync"
	case leads && !n.Waits:
		return "does not wait for its standby"
	}
	return ""
}

// describe is one line about all nodes.
func describe(list []Node) string {
	parts := make([]string, 0, len(list))
	for _, n := range list {
		parts = append(parts, n.String())
	}
	return strings.Join(parts, "; ")
}

// String is a few words for the story of a drill.
func (n Node) String() string {
	known := "does not reach the witness"
	if n.Witness {
		known = fmt.Sprintf("says %s leads in term %d, in sync %t", n.Leader, n.Term, n.InSync)
	}
	switch {
	case n.Role == roleDown, n.Role == roleWitness:
		return fmt.Sprintf("%s: %s, %s", n.Node, n.Role, known)
	case n.Writable:
		return fmt.Sprintf("%s: open %s of timeline %d, streams %t, waits %t, %s", n.Node, n.Role, n.Timeline, n.Following, n.Waits, known)
	}
	return fmt.Sprintf("%s: closed %s of timeline %d, streams %t, %s", n.Node, n.Role, n.Timeline, n.Following, known)
}
