package wal

import (
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

func TestEveryServerIsAskedByItself_P13(t *testing.T) {
	servers, err := Servers("postgres://u:p@a:1,b:2,[::1]:3/db?sslmode=prefer&target_session_attrs=read-write&connect_timeout=60&statement_timeout=5")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range servers {
		names = append(names, s.String())
		c := s.config
		if c.ConnectTimeout != connectTime || c.ValidateConnect != nil || len(c.Fallbacks) != 1 || c.RuntimeParams["statement_timeout"] != "0" {
			t.Errorf("%s: time-out %v, %d fallbacks, %v", s, c.ConnectTimeout, len(c.Fallbacks), c.RuntimeParams)
		}
	}
	if got := strings.Join(names, " "); got != "a:1 b:2 [::1]:3" {
		t.Error(got)
	}
}

// P10: servers of the preferred system come first, then those on the highest timeline, then the first in the string.
func TestThePrimaryIsChosenByItsTimeline_P10(t *testing.T) {
	node := func(version int, system uint64, timeline uint32) Node {
		return Node{Version: version, Identity: pg.Identity{System: system, Timeline: timeline}}
	}
	for _, c := range []struct {
		name      string
		nodes     []Node
		preferred uint64
		want      int // the version, which tells the nodes apart; 0: none
	}{
		{"none", nil, 0, 0},
		{"standbys", []Node{node(1, 7, 0), node(2, 7, 0)}, 7, 0},
		{"one", []Node{node(1, 7, 0), node(2, 7, 1)}, 0, 2},
		{"the old primary first", []Node{node(1, 7, 1), node(2, 7, 2)}, 7, 2},
		{"the old primary last", []Node{node(1, 7, 3), node(2, 7, 2)}, 7, 1},
		{"equal timelines", []Node{node(1, 7, 2), node(2, 7, 2)}, 7, 1},
		{"another system on a later timeline", []Node{node(1, 8, 9), node(2, 7, 2)}, 7, 2},
		{"only another system", []Node{node(1, 8, 9), node(2, 7, 0)}, 7, 1},
	} {
		got, ok := choose(c.nodes, c.preferred)
		if got.Version != c.want || ok != (c.want != 0) {
			t.Errorf("%s: %d, %v", c.name, got.Version, ok)
		}
	}
}

func TestHistoryFiles_P10(t *testing.T) {
	branches, err := parseHistory("1\t0/1000\tno recovery target specified\n\n# a comment\n2\t0/2000\tat restore point \"x\"\n", 4)
	if err != nil {
		t.Fatal(err)
	}
	h := lsn.NewHistory(4, branches)
	for p, want := range map[string]lsn.Standing{"1-0/1000": lsn.Held, "1-0/1001": lsn.Lost, "2-0/2000": lsn.Held, "2-0/2001": lsn.Lost, "3-0/1": lsn.Lost, "4-0/9000": lsn.Held, "5-0/1": lsn.Unknown} {
		position, err := lsn.ParsePosition(p)
		if err != nil || h.Judge(position) != want {
			t.Errorf("%s: %v, %v", p, h.Judge(position), err)
		}
	}
	if _, err := parseHistory("one\t0/1\n", 2); err == nil {
		t.Error("a malformed file is taken")
	}
}

// P4: a slot is made as a failover slot where the server has these (17 and later).
func TestSlotsOutliveAPromotionWhereTheyCan_P4(t *testing.T) {
	for version, want := range map[int]string{
		15: "CREATE_REPLICATION_SLOT pyramid_5 LOGICAL pgoutput (SNAPSHOT 'export')",
		17: "CREATE_REPLICATION_SLOT pyramid_5 LOGICAL pgoutput (SNAPSHOT 'export', FAILOVER true)",
	} {
		if got := createSlot(Unnamed.SlotName(5), version); got != want {
			t.Errorf("%d: %s", version, got)
		}
	}
}

// P11: rows of a renamed table, and of another table in its place, are refused.
func TestTheStreamNamesTheTablesThatArePublished_P11(t *testing.T) {
	p := Published{Tables: map[uint32]string{7: "public.bids"}}
	for _, c := range []struct {
		id   uint32
		name string
		want bool
	}{{7, "public.bids", true}, {7, "public.old", false}, {8, "public.bids", false}, {8, "public.else", true}} {
		if got := p.Fits(&Relation{ID: c.id, Name: c.name}); got != c.want {
			t.Errorf("%d %s: %v", c.id, c.name, got)
		}
	}
}
