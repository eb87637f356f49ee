package drill

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/client"
)

func answer(status int, body string) client.Answer {
	return client.Answer{Status: status, Header: http.Header{"Read-Path": {"redis"}}, Body: []byte(body)}
}

func TestJudgeBid(t *testing.T) {
	for _, c := range []struct {
		name string
		a    client.Answer
		err  error
		want attempt
	}{
		{"201", answer(201, `{}`), nil, placed},
		{"cut off", client.Answer{}, errors.New("EOF"), inDoubt},
		{"perhaps done", answer(503, `{"type":"/problems/outcome-unknown"}`), nil, inDoubt},
		{"not done", answer(503, `{"type":"/problems/unavailable"}`), nil, notDone},
		{"the front door lost the service", answer(502, `{"type":"/problems/outcome-unknown"}`), nil, inDoubt},
		{"a fault", answer(500, `{"type":"/problems/internal"}`), nil, inDoubt},
		{"too many", answer(429, `{}`), nil, notDone},
		{"the raffle is over", answer(409, `{"type":"/problems/raffle-not-open"}`), nil, refused},
	} {
		if got := judgeBid(c.a, c.err); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// R2: an answer at the position of an acknowledged bid must hold the bid.
func TestJudgeReadFindsEachWrongRead_R2(t *testing.T) {
	const (
		own   = `{"id":7,"raffle_id":1,"size":270,"price":5,"quantity":1}`
		newer = `{"id":8,"raffle_id":1,"size":270,"price":6,"quantity":1}`
		older = `{"id":6,"raffle_id":1,"size":270,"price":4,"quantity":1}`
	)
	want := &Bid{7, 1, 270, 5, 1}
	for _, c := range []struct {
		name  string
		a     client.Answer
		err   error
		want  *Bid
		is    read
		shown int
	}{
		{"plain", answer(200, `{"bids":[`+newer+`]}`), nil, nil, readOK, 1},
		{"plain and empty", answer(200, `{"bids":[]}`), nil, nil, readOK, 0},
		{"own", answer(200, `{"bids":[`+newer+`,`+own+`]}`), nil, want, readOK, 2},
		{"own alone", answer(200, own), nil, want, readOK, 1},
		{"own is missing", answer(200, `{"bids":[`+older+`]}`), nil, want, readWrong, 1},
		{"own is missing between others", answer(200, `{"bids":[`+newer+`,`+older+`]}`), nil, want, readWrong, 2},
		{"own is on the next page", answer(200, `{"bids":[`+newer+`,`+newer+`]}`), nil, want, readOK, 2},
		{"empty", answer(200, `{"bids":[]}`), nil, want, readWrong, 0},
		{"another price", answer(200, `{"id":7,"raffle_id":1,"size":270,"price":9,"quantity":1}`), nil, want, readWrong, 1},
		{"404 for an own bid", answer(404, `{"type":"/problems/unknown-bid"}`), nil, want, readWrong, 0},
		{"no JSON", answer(200, `<html>`), nil, nil, readWrong, 0},
		{"position lost", answer(409, `{"type":"/problems/position-lost"}`), nil, want, readLost, 0},
		{"beyond", answer(422, `{"type":"/problems/bad-value"}`), nil, want, readRefused, 0},
		{"not now", answer(503, `{"type":"/problems/unavailable"}`), nil, want, readRefused, 0},
		{"no answer", client.Answer{}, errors.New("timeout"), want, readFailed, 0},
	} {
		if got, shown, why := judgeRead(c.a, c.err, c.want, 2); got != c.is || len(shown) != c.shown || (why == "") != (got == readOK) {
			t.Errorf("%s: %d, %d bids, %q", c.name, got, len(shown), why)
		}
	}
}

func TestLeadersAndWhatAilsTheNodes(t *testing.T) {
	leads := Node{Node: "node1", Role: "primary", Writable: true, Waits: true, Following: true, Witness: true, Leader: "node1", InSync: true}
	standby := Node{Node: "node2", Role: "standby", Following: true, Witness: true, Leader: "node1", InSync: true}
	witness := Node{Node: "witness", Role: "witness", Witness: true, Leader: "node1", InSync: true}
	change := func(n Node, how func(*Node)) Node { how(&n); return n }
	second := change(leads, func(n *Node) { n.Node, n.Leader = "node2", "node2" })
	for _, c := range []struct {
		name    string
		list    []Node
		leaders int
		whole   bool
	}{
		{"whole", []Node{leads, standby, witness}, 1, true},
		{"split", []Node{leads, second, witness}, 2, false},
		{"split, one without the witness", []Node{leads, change(second, func(n *Node) { n.Witness, n.Leader = false, "" })}, 2, false},
		{"an open primary that does not lead", []Node{leads, change(second, func(n *Node) { n.Leader = "node1" }), witness}, 1, false},
		{"a closed primary", []Node{leads, change(second, func(n *Node) { n.Writable = false })}, 1, false},
		{"nobody leads", []Node{standby, witness}, 0, false},
		{"the standby is down", []Node{leads, {Node: "node2", Role: "down", Witness: true}}, 1, false},
		{"the standby does not stream", []Node{leads, change(standby, func(n *Node) { n.Following = false })}, 1, false},
		{"out of sync", []Node{change(leads, func(n *Node) { n.InSync = false }), standby}, 1, false},
		{"relaxed", []Node{change(leads, func(n *Node) { n.Waits = false }), standby}, 1, false},
		{"the witness is down", []Node{leads, standby, {Node: "witness", Role: "down"}}, 1, false},
	} {
		if n, what := len(leaders(c.list)), ailing(c.list); n != c.leaders || (what == "") != c.whole {
			t.Errorf("%s: %d leaders, %q", c.name, n, what)
		}
	}
	if list, err := parseNodes(`{"node":"node1","role":"primary"}` + "\n" + `{"node":"witness","other":1}`); err != nil || len(list) != 2 || list[0].Role != "primary" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestEachDrillCanBeUnderstood(t *testing.T) {
	replace := names("postgres-2", "postgres-1")
	if got := replace.Replace("freeze {primary} {standby-agent} {primary-link} {standby-link}"); got != "freeze postgres-2 agent-1 link-3 link-2" {
		t.Error(got)
	}
	programs := []string{"postgres-1", "postgres-2", "agent-1", "agent-2", "agent-3", "witness", "redis", "pgpool", "command-1", "query-1", "query-2", "replicator-1", "replicator-2",
		"haproxy", "exporter-1", "prometheus", "alertmanager", "link-1", "link-2", "link-3"}
	seen := make(map[string]bool)
	for _, d := range All {
		if seen[d.Name] || d.Writes == 0 || d.Reads == 0 || len(d.Steps) == 0 {
			t.Errorf("%q comes twice or has no bounds or steps", d.Name)
		}
		seen[d.Name] = true
		for _, step := range append(append(d.Before, d.Steps...), d.Undo...) {
			step = replace.Replace(step)
			if err := check(step); err != nil {
				t.Errorf("%s: %v", d.Name, err)
			} else if name := missing(step, programs); name != "" {
				t.Errorf("%s: step %q: there is no %s", d.Name, step, name)
			}
		}
	}
	if missing("freeze postgres-3:walreceiver", programs) != "postgres-3" || check("thaw") == nil || check("dance redis") == nil {
		t.Error("a wrong step was taken for a right one")
	}
}
