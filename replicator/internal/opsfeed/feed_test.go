package opsfeed

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// record keeps what is told.
type record struct{ told []string }

func (r *record) tell(kind opspage.Kind, args ...any) {
	r.told = append(r.told, strings.TrimSpace(fmt.Sprintln(append([]any{kind}, args...)...)))
}

func (r *record) expect(t *testing.T, want ...string) {
	t.Helper()
	if fmt.Sprintf("%q", r.told) != fmt.Sprintf("%q", want) {
		t.Errorf("told %q, want %q", r.told, want)
	}
	r.told = nil
}

func TestStatesAreTold(t *testing.T) {
	var r record
	now := time.Unix(0, 0)
	teller := &teller{tell: r.tell, now: func() time.Time { return now }}
	heard := teller.listener()
	starting, waiting := status.Status{State: status.Starting}, status.Status{State: status.Waiting}
	rebuild := status.Status{State: status.Rebuilding, Rebuild: &status.Progress{Reason: status.CheckpointMissing}}
	full := status.Status{State: status.Rebuilding, Rebuild: &status.Progress{Reason: status.CheckpointMissing, Rows: 1234}}
	follows := status.Status{State: status.Streaming, LSN: "1-0/10", Epoch: 5}
	heard.Changed(status.Status{}, starting)
	heard.Changed(starting, waiting)
	r.expect(t, "waits")
	heard.Changed(starting, rebuild)
	r.expect(t, "rebuilds Redis holds no read model. the replica serves reads")
	now = now.Add(1500 * time.Millisecond)
	heard.Changed(full, follows)
	r.expect(t, "rebuilt 5 1,234 1.5 s")
	heard.Changed(follows, status.Status{State: status.Retrying})
	heard.Failed("fenced")
	heard.Changed(starting, rebuild)
	r.expect(t, "failed Redis does not hold what this replicator wrote last: it lost data, or another replicator works.", "rebuilds Redis lost its data. the replica serves reads")
	asked := status.Status{State: status.Rebuilding, LSN: "1-0/10", Rebuild: &status.Progress{Reason: status.Requested}}
	heard.Changed(starting, asked)
	heard.Changed(starting, follows)
	heard.Changed(follows, status.Status{State: status.Paused})
	heard.Changed(follows, status.Status{State: "of another release"})
	r.expect(t, "rebuilds An operator asked for a rebuild. the present epoch is served meanwhile", "follows 1-0/10 5", "pauses", "other_state of another release")
	heard.Lost("raffle 3")
	heard.Reloaded("raffle 3", false)
	heard.Reloaded("raffle 3", true)
	heard.Poisoned("size 270")
	r.expect(t, "part_lost raffle 3", "part_retried raffle 3", "part_reloaded raffle 3", "row_poisoned size 270 size 270")
}

func TestDivergentKeysAreTold(t *testing.T) {
	var r record
	teller := &teller{tell: r.tell}
	teller.compared(verify.Report{}, verify.State{})
	r.expect(t)
	teller.compared(verify.Report{Divergent: 2, Findings: []verify.Finding{{Key: "{r3}:1:raffle", Missing: 1}}}, verify.State{DivergentKeys: 2})
	r.expect(t, "diverges 2 {r3}:1:raffle  1 missing")
	teller.compared(verify.Report{}, verify.State{DivergentKeys: 2}) // of another scope
	r.expect(t)
	teller.compared(verify.Report{}, verify.State{})
	r.expect(t, "mended")
}

func TestChangesBetweenLooksAreTold(t *testing.T) {
	var r record
	var c changes
	node := func(name string, primary, up bool, timeline uint32) wal.Sight {
		return wal.Sight{Server: name, Primary: primary, Up: up, At: lsn.Position{Timeline: timeline, LSN: 1}}
	}
	now := time.Unix(0, 0)
	at := func(lag, held int64, nodes ...wal.Sight) {
		now = now.Add(time.Second)
		c.of(now, status.Status{State: status.Streaming, LSN: "1-0/10", LagMillis: lag, HeldMillis: held}, nodes, r.tell)
	}
	a, b := node("a", true, true, 1), node("b", false, true, 1)
	at(0, 0, a, node("b", false, false, 0))
	r.expect(t, "node_appears a primary 1")
	at(1999, 0, a, b)
	r.expect(t, "node_appears b standby 1")
	at(2000, 1000, a, b)
	r.expect(t, "lags 2.0 s", "held_back")
	at(1500, 0, a, b)
	r.expect(t, "let_go")
	at(999, 0, node("a", true, false, 1), b)
	r.expect(t, "caught_up", "node_gone a primary")
	at(0, 0, node("a", true, false, 1), node("b", true, true, 2))
	r.expect(t, "node_changes b standby primary 2")
	at(0, 0, node("a", false, true, 2), node("b", true, true, 2))
	r.expect(t, "node_back a standby 2")
	at(0, 0, node("a", false, true, 2), node("b", true, true, 2))
	r.expect(t)
	now = now.Add(time.Minute) // this process was stopped, so the answers are old
	for range restLooks {
		at(0, 0, node("a", false, false, 2), node("b", true, false, 2))
	}
	r.expect(t)
	at(0, 0, node("a", false, true, 2), node("b", true, false, 2))
	r.expect(t, "node_gone b primary")
}

func TestRates(t *testing.T) {
	var r rate
	at := time.Unix(100, 0)
	for i, c := range []struct {
		count float64
		after time.Duration
		want  string
	}{{5, 0, "NaN"}, {25, 2 * time.Second, "10"}, {25, 2 * time.Second, "10"}, {25, 4 * time.Second, "0"}, {3, 5 * time.Second, "NaN"}, {4, 6 * time.Second, "1"}} {
		if got := fmt.Sprint(float64(r.per(c.count, at.Add(c.after)))); got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
	}
}

func TestVerdicts(t *testing.T) {
	following := status.Status{State: status.Streaming, LSN: "1-0/10"}
	with := func(f func(*status.Status)) status.Status { s := following; f(&s); return s }
	for _, c := range []struct {
		s     status.Status
		v     verify.State
		level opspage.Level
		text  string
	}{
		{following, verify.State{}, opspage.Good, "follows the primary, 0 ms behind."},
		{with(func(s *status.Status) { s.LagMillis = 2500 }), verify.State{}, opspage.Doubt, "Redis is 2.5 s behind"},
		{with(func(s *status.Status) { s.HeldMillis = 1000 }), verify.State{}, opspage.Doubt, "standby does not confirm"},
		{with(func(s *status.Status) { s.State = status.Waiting }), verify.State{}, opspage.Good, "Another replicator works"},
		{with(func(s *status.Status) { s.State = status.Retrying; s.LastError = "no route" }), verify.State{}, opspage.Bad, "does not get on: no route"},
		{with(func(s *status.Status) { s.State, s.LSN, s.Rebuild = status.Rebuilding, "", &status.Progress{} }), verify.State{}, opspage.Doubt, "the replica serves reads"},
		{with(func(s *status.Status) { s.State, s.Pause = status.Paused, &status.Pause{Reason: "a look"} }), verify.State{}, opspage.Doubt, "Paused by an operator (a look)"},
		{following, verify.State{DivergentKeys: 2}, opspage.Doubt, "2 keys differ"},
	} {
		if got := verdict(c.s, &c.v); got.Level != c.level || !strings.Contains(got.Text, c.text) {
			t.Errorf("%+v: %+v", c.s, got)
		}
	}
}

// A second writable node, or one that takes no writes, is no good sign; nor is one that does not answer.
func TestNodesAreShown(t *testing.T) {
	all := nodesOf([]wal.Sight{
		{Server: "a", Up: true, Primary: true, At: lsn.Position{Timeline: 2, LSN: 5000}},
		{Server: "b", Up: true, At: lsn.Position{Timeline: 2, LSN: 2952}},
		{Server: "c", Up: true, Primary: true, At: lsn.Position{Timeline: 1, LSN: 9000}},
		{Server: "d", At: lsn.Position{Timeline: 1, LSN: 16}},
	})
	want := []opspage.Node{
		{Address: "a", Role: "primary", Timeline: 2, Position: "0/1388", Level: opspage.Good},
		{Address: "b", Role: "standby", Timeline: 2, Position: "0/B88", Behind: "2.0 KB", Level: opspage.Good},
		{Address: "c", Role: "primary", Timeline: 1, Position: "0/2328", Level: opspage.Bad},
		{Address: "d", Role: "no answer", Timeline: 1, Position: "0/10", Level: opspage.Bad},
	}
	if fmt.Sprint(all) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", all, want)
	}
}
