package drill

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Witness is the name of the node that only votes.
const Witness = "witness"

// Node is what a database node says of itself.
type Node struct {
	Node     string `json:"node"`
	Running  bool   `json:"running"`
	Primary  bool   `json:"primary"`
	Writable bool   `json:"writable"`
	Timeline int64  `json:"timeline"`
	// Leader, Term and InSync are the witness's record as this node sees it; empty if it can't reach the witness.
	Leader string `json:"leader"`
	Term   int64  `json:"term"`
	InSync bool   `json:"in_sync"`
	// Streaming: a standby receives WAL, or a primary's standby does.
	Streaming bool `json:"streaming"`
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

// leads says whether the services would write to the node.
func (n Node) leads() bool { return n.Running && n.Primary && n.Writable && n.Leader == n.Node }

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
		switch {
		case !n.Running:
			return n.Node + " does not run"
		case n.Node == Witness:
		case n.Node != leading[0] && n.Primary:
			return n.Node + " is no standby"
		case !n.Streaming:
			return n.Node + " does not stream"
		case n.Node == leading[0] && !n.InSync:
			return "the standby is out of sync"
		}
	}
	return ""
}

// describe is one line about all nodes.
func describe(list []Node) string {
	parts := make([]string, 0, len(list))
	for _, n := range list {
		parts = append(parts, n.String())
	}
	return strings.Join(parts, ", ")
}

// String is a few words for the story of a drill.
func (n Node) String() string {
	switch {
	case !n.Running:
		return n.Node + " down"
	case n.Node == Witness:
		return fmt.Sprintf("witness: %s leads (term %d, in sync: %t)", n.Leader, n.Term, n.InSync)
	case !n.Primary:
		return fmt.Sprintf("%s standby (timeline %d, streams: %t)", n.Node, n.Timeline, n.Streaming)
	case n.Writable:
		return fmt.Sprintf("%s open primary (timeline %d, streams: %t, in sync: %t)", n.Node, n.Timeline, n.Streaming, n.InSync)
	}
	return fmt.Sprintf("%s closed primary (timeline %d)", n.Node, n.Timeline)
}
