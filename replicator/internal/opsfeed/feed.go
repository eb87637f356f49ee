// Package opsfeed is what the replicator shows on the page for operators: how far Redis is, the rates, the rebuild, the
// comparison, the database nodes, and what happened, in words.
package opsfeed

import (
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// plots are what is drawn; look returns their values in this order.
var plots = []opspage.Plot{
	{Title: "Redis behind the primary", Unit: "ms", Series: []string{"lag"}},
	{Title: "Transactions and changes", Unit: "/s", Series: []string{"written", "applied", "changes applied"}},
}

// Replicator is the replicator as the feed needs it.
type Replicator interface {
	Status(now time.Time) status.Status
	Sights(now time.Time) []wal.Sight
	Applied() (transactions, changes float64)
	Listen(status.Listener)
}

// Feed is the page with what the replicator knows.
type Feed struct {
	*opspage.Hub
	replicator Replicator
	teller     *teller
	changes    changes
	background func() *verify.State // nil: there is none
	asked      func() *opspage.Asked

	written, changed, wal, transactions, applied rate
}

// New makes the feed. It is made before the replicator runs, so that it hears everything. Compared and Asked may be set
// until the hub runs.
func New(r Replicator, o opspage.Options) *Feed {
	f := &Feed{replicator: r, background: func() *verify.State { return nil }, asked: func() *opspage.Asked { return nil }}
	o.Service, o.Plots, o.Look = "replicator", plots, f.look
	f.Hub = opspage.NewHub(o)
	f.teller = &teller{tell: f.Tell, now: time.Now}
	r.Listen(f.teller.listener())
	return f
}

// Compares shows a background comparison.
func (f *Feed) Compares(b *verify.Background) {
	b.Compared = f.teller.compared
	f.background = func() *verify.State { s := b.State(); return &s }
}

// Asks shows the comparisons that operators ask for.
func (f *Feed) Asks(c *Comparison) { f.asked = c.State }

// look reports what is known now. The hub calls it once a second.
func (f *Feed) look(now time.Time) (opspage.Report, []opspage.Value) {
	s, nodes := f.replicator.Status(now), f.replicator.Sights(now)
	f.changes.of(now, s, nodes, f.Tell)
	transactions, changes := f.replicator.Applied()
	rates := rates{transactions: f.transactions.per(transactions, now), applied: f.applied.per(changes, now)}
	p := primaryOf(nodes)
	rates.written = f.written.per(float64(p.Transactions), p.Measured)
	rates.changed = f.changed.per(float64(p.Changes), p.Measured)
	rates.wal = f.wal.per(float64(p.At.LSN), p.Measured)
	background := f.background()
	r := opspage.Report{Waits: s.State == status.Waiting, Verdict: verdict(s, background), Figures: figures(s, rates),
		Nodes: nodesOf(nodes), Compared: comparedOf(background, f.asked()), Rebuild: rebuildOf(s, f.teller.sawReadModel())}
	return r, []opspage.Value{opspage.Value(s.LagMillis), rates.written, rates.transactions, rates.applied}
}

// rates are numbers a second: what the primary writes, and what this process applies.
type rates struct{ written, changed, wal, transactions, applied opspage.Value }

// primaryOf is the primary on the highest timeline, if one answers.
func primaryOf(nodes []wal.Sight) (p wal.Sight) {
	for _, n := range nodes {
		if n.Up && n.Primary && n.At.Timeline > p.At.Timeline {
			p = n
		}
	}
	return p
}

func verdict(s status.Status, v *verify.State) opspage.Verdict {
	lag := time.Duration(s.LagMillis) * time.Millisecond
	behind := span(lag) + " behind the primary"
	switch {
	case s.State == status.Waiting:
		return opspage.Verdict{Level: opspage.Good, Text: "Another replicator works; this one waits to take over. Redis is " + behind + "."}
	case s.State == status.Rebuilding && s.Rebuild != nil:
		return opspage.Verdict{Level: opspage.Doubt, Text: "Rebuilding the read model; " + serves(s) + "."}
	case s.State == status.Retrying:
		return opspage.Verdict{Level: opspage.Bad, Text: "The replicator does not get on: " + s.LastError}
	case s.State == status.Paused:
		var reason string
		if s.Pause != nil && s.Pause.Reason != "" {
			reason = " (" + s.Pause.Reason + ")"
		}
		return opspage.Verdict{Level: opspage.Doubt, Text: "Paused by an operator" + reason + ": nothing is applied. Redis is " + behind + "."}
	case s.State != status.Streaming:
		return opspage.Verdict{Level: opspage.Doubt, Text: fmt.Sprintf("The replicator is %s. Redis is %s.", s.State, behind)}
	case s.Waits():
		return opspage.Verdict{Level: opspage.Doubt, Text: "The synchronous standby does not confirm, so what is newer is held back from Redis, which is " + behind + "."}
	case lag >= lagsFrom:
		return opspage.Verdict{Level: opspage.Doubt, Text: "Redis is " + behind + "."}
	case v != nil && v.DivergentKeys > 0:
		return opspage.Verdict{Level: opspage.Doubt, Text: fmt.Sprintf("Redis follows, but %d keys differ from the primary. Their parts are loaded anew.", v.DivergentKeys)}
	}
	return opspage.Verdict{Level: opspage.Good, Text: "Redis follows the primary, " + span(lag) + " behind."}
}

func figures(s status.Status, r rates) []opspage.Figure {
	level := opspage.Good
	if time.Duration(s.LagMillis)*time.Millisecond >= lagsFrom {
		level = opspage.Doubt
	}
	all := []opspage.Figure{
		{Name: "lag now", Value: span(time.Duration(s.LagMillis) * time.Millisecond), Level: level},
		{Name: "not applied yet", Value: bytes(s.LagBytes)},
		{Name: "written", Value: perSecond(r.written, "transactions/s")},
		{Name: "written rows", Value: perSecond(r.changed, "changes/s")},
		{Name: "written WAL", Value: bytesPerSecond(r.wal)},
		{Name: "applied", Value: perSecond(r.transactions, "transactions/s")},
		{Name: "applied rows", Value: perSecond(r.applied, "changes/s")},
	}
	if s.LSN != "" {
		all = append(all, opspage.Figure{Name: "position", Value: s.LSN}, opspage.Figure{Name: "epoch", Value: fmt.Sprint(s.Epoch)})
	}
	if s.Slot != "" && s.State != status.Waiting {
		all = append(all, opspage.Figure{Name: "slot " + s.Slot + " retains", Value: retained(s)})
	}
	return append(all, opspage.Figure{Name: "rebuilds since the start", Value: fmt.Sprint(s.Rebuilds)})
}

// retained is the WAL that the slot holds back, and at which the server gives the slot up.
func retained(s status.Status) string {
	if s.LimitBytes == 0 {
		return bytes(s.RetainedBytes) + " of WAL"
	}
	return bytes(s.RetainedBytes) + " of " + bytes(s.LimitBytes)
}

func rebuildOf(s status.Status, seen bool) *opspage.Rebuild {
	p := s.Rebuild
	if p == nil {
		return nil
	}
	return &opspage.Rebuild{Why: why(p.Reason, seen), Step: steps[p.Phase], Rows: p.Rows, Expected: p.Expected, PerSecond: p.PerSec, ETASeconds: p.ETA,
		Slot: p.Slot, WaitsFor: p.WaitsFor}
}

func comparedOf(v *verify.State, asked *opspage.Asked) *opspage.Compared {
	if v == nil {
		return &opspage.Compared{Off: true, Asked: asked}
	}
	c := &opspage.Compared{Passes: v.Passes, Keys: v.VerifiedKeys, Divergent: v.DivergentKeys, Asked: asked}
	if at, err := time.Parse(time.RFC3339, v.LastPassAt); err == nil {
		c.LastPass = at.UnixMilli()
	}
	if failed, err := time.Parse(time.RFC3339, v.LastErrorAt); err == nil && failed.UnixMilli() >= c.LastPass {
		c.Problem = v.LastError // a later pass has compared what could not be compared
	}
	for _, f := range v.Findings {
		c.Findings = append(c.Findings, f.String())
	}
	return c
}

func nodesOf(nodes []wal.Sight) (all []opspage.Node) {
	p := primaryOf(nodes)
	for _, n := range nodes {
		node := opspage.Node{Address: n.Server, Role: role(n), Timeline: n.At.Timeline, Level: opspage.Good}
		switch {
		case !n.Up:
			node.Role, node.Level = "no answer", opspage.Bad
		case n.Primary && (n.Closed || n.Server != p.Server):
			node.Level = opspage.Bad
		case !n.Primary && p.Up:
			node.Behind = bytes(max(int64(p.At.LSN)-int64(n.At.LSN), 0))
		}
		if n.At.LSN != 0 {
			node.Position = n.At.LSN.String()
		}
		all = append(all, node)
	}
	return all
}

func perSecond(v opspage.Value, unit string) string {
	if !v.Exists() {
		return "–"
	}
	return progress.Grouped(int64(v+0.5)) + " " + unit
}

func bytesPerSecond(v opspage.Value) string {
	if !v.Exists() {
		return "–"
	}
	return bytes(int64(v)) + "/s"
}

// bytes is a number of bytes for people.
func bytes(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
}

// span is a duration for people, in milliseconds up to a second.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}
