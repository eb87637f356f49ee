package main

import (
	"slices"
	"testing"
)

// A node that pgpool-II has wrong is attached anew; if that has no effect although pgpool-II reaches the node, pgpool-II is
// stopped.
func TestWhatMakesPgpoolTakeANode(t *testing.T) {
	attach, anew, stop := []string{"pcp_attach_node"}, []string{"pcp_detach_node", "pcp_attach_node"}, []string{stopPool}
	for _, c := range []struct {
		name, info string
		primary    bool
		inVain     int
		want       []string
	}{
		{"a standby in use", "h 1 2 0.5 up up standby standby 0 none none", false, 5, nil},
		{"the primary in use", "h 1 1 0.5 waiting up primary primary 0 none none", true, 0, nil},
		{"a standby that was down", "h 1 3 0.5 down up standby standby 0 none none", false, 0, attach},
		{"again", "h 1 3 0.5 down up standby standby 0 none none", false, 2, attach},
		{"without effect", "h 1 3 0.5 down up standby standby 0 none none", false, 3, stop},
		{"a standby that pgpool-II does not reach", "h 1 3 0.5 down down standby unknown 0 none none", false, 9, attach},
		{"a primary that was down", "h 1 3 0.5 down up standby primary 0 none none", true, 0, attach},
		{"a primary taken for a standby", "h 1 2 0.5 up up standby primary 0 none none", true, 2, anew},
		{"without effect", "h 1 2 0.5 up up standby primary 0 none none", true, 3, stop},
		{"a primary that is found as a standby", "h 1 2 0.5 up up standby standby 0 none none", true, 9, anew},
	} {
		n, err := readPoolNode(c.info)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.remedy(c.primary, c.inVain); !slices.Equal(got, c.want) {
			t.Errorf("%s, %d in vain: %v instead of %v", c.name, c.inVain, got, c.want)
		}
	}
	if _, err := readPoolNode("ERROR"); err == nil {
		t.Error("an error was read")
	}
}
