package report

import (
	"bytes"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
)

// document parses the page of a run.
func document(t *testing.T, r *Run) *html.Node {
	t.Helper()
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(&page)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// all are the elements of that name.
func all(doc *html.Node, name string) (found []*html.Node) {
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			found = append(found, n)
		}
	}
	return found
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// section is the text of the section with that heading.
func section(t *testing.T, doc *html.Node, heading string) string {
	t.Helper()
	for _, h := range all(doc, "h2") {
		if strings.HasPrefix(text(h), heading) {
			return text(h.Parent)
		}
	}
	t.Errorf("no section %q", heading)
	return ""
}

func TestPageLoadsNothing(t *testing.T) {
	doc := document(t, madeUp(20, time.Millisecond, 1, 1))
	for _, name := range []string{"script", "link", "img", "iframe", "object", "use", "image"} {
		if n := len(all(doc, name)); n > 0 {
			t.Errorf("%d elements %s", n, name)
		}
	}
	for n := range doc.Descendants() {
		for _, a := range n.Attr {
			if a.Key == "src" || a.Key == "href" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
	if style := text(all(doc, "style")[0]); strings.Contains(style, "url(") || strings.Contains(style, "@import") || !strings.Contains(style, "prefers-color-scheme") {
		t.Error("the style sheet loads something or has one scheme")
	}
}

func TestPageSaysWhatTheRunDid(t *testing.T) {
	run := madeUp(20, 5*time.Millisecond, 2, 1)
	run.Reconciliations = []Reconciliation{{Store: "Postgres", Acknowledged: 6_000_000, Stored: 6_000_000}, {Store: "Redis", Acknowledged: 6_000_000, Stored: 5_999_999, Lost: 1, LostKeys: []string{"load-1"}}}
	run.Verdict.Failed = []string{"Redis: 1 bids lost"}
	run.Generator.Warning = "the generator took 60 %"
	doc := document(t, run)
	verdict := section(t, doc, "Verdict")
	for _, want := range []string{"Verdict: failed", "Redis: 1 bids lost", "Warning: the generator took 60 %"} {
		if !strings.Contains(verdict, want) {
			t.Errorf("no %q in %q", want, verdict)
		}
	}
	if got := section(t, doc, "Reconciliation"); !strings.Contains(got, "Postgres ✓ 0 0 0 6,000,000 6,000,000") || !strings.Contains(got, "Redis: 1 lost: load-1") {
		t.Errorf("reconciliation %q", got)
	}
	steps, s := section(t, doc, "Steps"), run.Steps[0]
	row := strings.Join(append([]string{s.Name, progress.Grouped(s.Count()), progress.Grouped(s.OK), "40", rate(run.PerSecond(s.OK))}, s.Total.cells()...), " ")
	if !strings.Contains(steps, row) || !strings.Contains(steps, "all steps "+progress.Grouped(run.All().Count())) {
		t.Errorf("no %q in %q", row, steps)
	}
	if got := section(t, doc, "Errors"); !strings.Contains(got, `POST bid status 503 40 `+percent(40/float64(s.Count()))+` 1:05 {"status":503}`) {
		t.Errorf("errors %q", got)
	}
	if got := section(t, doc, "In nGrinder"); !strings.Contains(got, "TPS "+rate(run.PerSecond(run.All().OK))) || !strings.Contains(got, "Peak TPS "+rate(run.NGrinder().PeakTPS)) {
		t.Errorf("nGrinder %q", got)
	}
	if got := section(t, doc, "Processor time"); !strings.Contains(got, "command 2.00 s 5.00 %") {
		t.Errorf("CPU %q", got)
	}
	var titles []string
	for _, c := range all(doc, "figcaption") {
		titles = append(titles, text(c))
	}
	want := []string{"Throughput requests/s", "Latency of good requests ms, logarithmic", "Active users users", "Replication lag ms",
		"Latency by percentile ms, logarithmic", "POST bid ms, logarithmic", "GET bids ms, logarithmic"}
	if !reflect.DeepEqual(titles, want) {
		t.Errorf("plots %q, want %q", titles, want)
	}
}

// fill puts text into every string that v holds.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), text)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	}
}

func TestEverythingIsEscaped(t *testing.T) {
	const evil = `</title></style><script>alert(1)</script><b onload="x">'"&`
	run := madeUp(12, time.Millisecond, 1, 1)
	run.Steps = run.Steps[:1]
	run.Verdict = Verdict{Conditions: make([]Condition, 1), Failed: make([]string, 1), Invalid: make([]string, 1)}
	run.Reconciliations = []Reconciliation{{Lost: 1, Doubled: 1, LostKeys: make([]string, 1), DoubledKeys: make([]string, 1), UnknownKeys: make([]string, 1)}, {}}
	run.Paths = []PathComparison{{Compared: 1, Different: 1, Paths: []PathResult{{Latency: run.Steps[0].Total}}}}
	run.Agents = make([]Agent, 1)
	fill(reflect.ValueOf(run).Elem(), evil)
	doc := document(t, run)
	if n := len(all(doc, "script")) + len(all(doc, "b")); n > 0 {
		t.Errorf("%d elements came from data", n)
	}
	for _, heading := range []string{"Verdict", "Reconciliation", "Steps", "Errors", "Paths", "Processor", "Agents", "Configuration", "Environment"} {
		if !strings.Contains(section(t, doc, heading), evil) {
			t.Errorf("section %s does not show the text as it is", heading)
		}
	}
}

var number = regexp.MustCompile(`-?[0-9.]+(e[-+][0-9]+)?`)

func allFailed() *Run {
	run := madeUp(20, time.Millisecond, 0, 1)
	for i := range run.Steps {
		s := &run.Steps[i]
		s.Failed, s.OK, s.Total, s.Service = s.OK, 0, Histogram{}, Histogram{}
		for j := range s.Seconds {
			s.Seconds[j] = Second{At: j, Failed: s.Seconds[j].OK}
		}
	}
	return run
}

// Every point of every plot is a number within its drawing, in all the runs that could break a scale.
func TestPlotsStayWithinTheirAxes(t *testing.T) {
	noLag := madeUp(20, time.Millisecond, 0, 1)
	for i := range noLag.Samples {
		noLag.Samples[i].LagMS = nil
	}
	one := madeUp(1, time.Millisecond, 0, 1)
	one.Elapsed = 400 * time.Millisecond
	gaps := madeUp(30, time.Millisecond, 0, 1)
	for i := range gaps.Steps {
		gaps.Steps[i].Seconds = append(gaps.Steps[i].Seconds[:3:3], gaps.Steps[i].Seconds[20:]...)
	}
	for _, c := range []struct {
		name  string
		run   *Run
		plots int
	}{
		{"ordinary", madeUp(20, time.Millisecond, 1, 1), 7},
		{"long", madeUp(1000, time.Millisecond, 1, 1), 7},
		{"slow", madeUp(20, 100*time.Second, 0, 1), 7},
		{"one second", one, 7},
		{"gaps", gaps, 7},
		{"no lag", noLag, 6},
		{"all failed", allFailed(), 3},
		{"empty", &Run{Version: Version}, 0},
	} {
		doc := document(t, c.run)
		if n := len(all(doc, "figure")); n != c.plots {
			t.Errorf("%s: %d plots, want %d", c.name, n, c.plots)
		}
		for _, figure := range all(doc, "figure") {
			checkPoints(t, c.name+": "+text(all(figure, "figcaption")[0]), figure)
		}
	}
}

func checkPoints(t *testing.T, name string, figure *html.Node) {
	t.Helper()
	points := 0
	for _, p := range all(figure, "path") {
		if attribute(p, "class") == "lead" || strings.Contains(attribute(p, "d"), "h") {
			continue
		}
		v := number.FindAllString(attribute(p, "d"), -1)
		for i := 0; i+1 < len(v); i += 2 {
			points += within(t, name, v[i], v[i+1])
		}
	}
	for _, c := range all(figure, "circle") {
		points += within(t, name, attribute(c, "cx"), attribute(c, "cy"))
	}
	if points == 0 || points > 20*maxPoints {
		t.Errorf("%s: %d points", name, points)
	}
}

func within(t *testing.T, name, xs, ys string) int {
	t.Helper()
	x, errX := strconv.ParseFloat(xs, 64)
	y, errY := strconv.ParseFloat(ys, 64)
	if errX != nil || errY != nil || math.IsNaN(x+y) || x < plotLeft-1 || x > plotRight+1 || y < plotTop-1 || y > plotBottom+1 {
		t.Errorf("%s: point %s %s", name, xs, ys)
	}
	return 1
}

// Six million requests have seven nines, whose labels must neither be rounded nor overlap.
func TestNinesOfALargeRun(t *testing.T) {
	var texts []string
	for _, tick := range nineTicks(scale{high: 8, from: plotLeft, to: plotRight}) {
		texts = append(texts, tick.Text)
	}
	if got := strings.Join(texts, "|"); got != "50 %|90 %|99 %|99.9 %|99.99 %||99.9999 %||99.999999 %" {
		t.Error(got)
	}
}

func TestPathsShowTheirRatios(t *testing.T) {
	fast, slow := madeUp(5, time.Millisecond, 0, 1).Steps[0], madeUp(5, 100*time.Millisecond, 0, 1).Steps[0]
	c := PathComparison{Name: "bids", Base: "redis", Compared: 500, Paths: []PathResult{
		{Path: "redis", Cache: "warm", OK: fast.OK, Latency: fast.Total},
		{Path: "scan", Cache: "warm", OK: slow.OK, Latency: slow.Total, Explain: "Seq Scan on bids"},
		{Path: "standby", Cache: "cold", Failed: 3},
	}}
	ratio := float64(slow.Total.Summary().P50) / float64(fast.Total.Summary().P50)
	run := &Run{Version: Version, Paths: []PathComparison{c}}
	got := section(t, document(t, run), "Paths: bids")
	for _, want := range []string{"bodies identical on all paths for all 500 keys", "redis, warm × 1.00", "scan, warm × " + significant(ratio),
		"standby, cold – 0 3", "EXPLAIN (ANALYZE, BUFFERS) of scan, warm Seq Scan on bids"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
}
