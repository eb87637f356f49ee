package drill

import "testing"

// Two leaders count only if both say so once more.
func TestTwoLeadersCountIfBothStillLead(t *testing.T) {
	lead := func(name string) Node { return Node{Node: name, Role: rolePrimary, Writable: true} }
	follow := func(name string) Node { return Node{Node: name, Role: "standby"} }
	for _, c := range []struct {
		name    string
		answers []Node
		want    int
	}{
		{"nobody answers", nil, 0},
		{"one leads", []Node{lead("node1"), follow("node2"), lead("node1")}, 1},
		{"a switchover between two answers", []Node{lead("node1"), follow("node2"), lead("node2"), follow("node1")}, 1},
		{"the new leader is quicker", []Node{lead("node1"), lead("node2"), lead("node2"), lead("node2"), follow("node1")}, 1},
		{"two switchovers", []Node{lead("node1"), lead("node2"), follow("node1"), lead("node1"), follow("node2")}, 1},
		{"two lead", []Node{lead("node1"), lead("node2"), lead("node1"), lead("node2")}, 2},
		{"two led for a while", []Node{lead("node1"), lead("node2"), lead("node2"), lead("node1"), follow("node1")}, 2},
	} {
		var w watch
		for _, n := range c.answers {
			w.saw(n)
		}
		if got, err := w.most(); got != c.want || err != nil {
			t.Errorf("%s: %d leaders, %v, want %d", c.name, got, err, c.want)
		}
	}
}
