package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
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

// content is the text of an element as it is.
func content(n *html.Node) string {
	if n.FirstChild == nil {
		return ""
	}
	return n.FirstChild.Data
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

// The page loads nothing and runs one script, whose hash the policy names.
func TestPageLoadsNothing(t *testing.T) {
	doc := document(t, madeUp(20, time.Millisecond, 1, 1))
	for _, name := range []string{"link", "img", "iframe", "object", "use", "image", "base", "form"} {
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
	if style := content(all(doc, "style")[0]); strings.Contains(style, "url(") || strings.Contains(style, "@import") || !strings.Contains(style, "prefers-color-scheme") {
		t.Error("the style sheet loads something or has one scheme")
	}
	var hashes []string
	for _, s := range all(doc, "script") {
		if attribute(s, "type") != "application/json" {
			sum := sha256.Sum256([]byte(content(s)))
			hashes = append(hashes, base64.StdEncoding.EncodeToString(sum[:]))
		}
	}
	want := "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'; script-src 'sha256-" + strings.Join(hashes, " ") + "'"
	for _, meta := range all(doc, "meta") {
		if attribute(meta, "http-equiv") != "" && attribute(meta, "content") != want {
			t.Errorf("policy %q, want %q", attribute(meta, "content"), want)
		}
	}
}

// The files of others are byte by byte those of uPlot 1.6.32.
func TestUPlotIsAsReleased(t *testing.T) {
	for name, want := range map[string]string{
		"uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
		"uPlot.min.css":     "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
		"LICENSE":           "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
	} {
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(file("uplot/"+name)))); got != want {
			t.Errorf("%s has the sum %s, want %s", name, got, want)
		}
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
	if got := section(t, doc, "Reconciliation"); !strings.Contains(got, "Postgres ✓ 0 0 0 0 0 6,000,000 6,000,000") || !strings.Contains(got, "Redis: 1 lost: load-1") {
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
	want := []string{"Throughput requests/s", "Failed requests requests/s", "Latency of good requests ms, logarithmic", "Latency histogram % of the requests",
		"Latency by percentile ms, logarithmic", "Load active users", "Lag of the read model ms", "POST bid ms, logarithmic", "GET bids ms, logarithmic"}
	if !reflect.DeepEqual(titles, want) {
		t.Errorf("plots %q, want %q", titles, want)
	}
}

// What was judged, what was asked for and what did not begin is on the page, and what another step counts is in no sum.
func TestPageSaysWhatWasAskedAndJudged(t *testing.T) {
	run := madeUp(20, 5*time.Millisecond, 2, 1)
	whole := run.All()
	attempts := run.Steps[0]
	attempts.Name, attempts.Part, attempts.Failures = "attempts of POST bid", true, attempts.Total
	run.Steps = slices.Insert(run.Steps, 1, attempts)
	run.Services = []Field{{"command", "fedcba"}}
	run.Users, run.Arrivals = Users{Asked: 20, Started: 15}, &Arrivals{Asked: 900, Started: 800, Dropped: 100}
	run.Verdict.Conditions = []Condition{{"p99 of bid", "at most 250 ms", "181 ms", true}, {"users", "20", "15", false}}
	run.Reconciliations = []Reconciliation{{Store: "Redis", Altered: 1, Misplaced: 2, Differences: []string{"load-7: price 9, sent 8"}}}
	busy := 0.5
	run.Samples[3].Busy, run.Samples[3].Asked = &busy, 45
	doc := document(t, run)
	for heading, wants := range map[string][]string{
		"Verdict":        {"p99 of bid at most 250 ms 181 ms ✓ held", "users 20 15 ✗ failed"},
		"Summary":        {"virtual users 20 15 5", "arrivals 900 800 100", progress.Grouped(whole.OK) + " good requests"},
		"Reconciliation": {"Redis ✗ 0 0 0 1 2 0", "Redis: load-7: price 9, sent 8"},
		"Steps":          {"all steps " + progress.Grouped(whole.Count()), "Latency of the failed requests, from the intended start", fewNote},
		"Plots":          {"Generator's machine part of it that was busy"},
	} {
		got := section(t, doc, heading)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in %q", heading, want, got)
			}
		}
	}
	if header := text(all(doc, "header")[0]); !strings.Contains(header, "commits: generator 0123456789abcdef, command fedcba") {
		t.Errorf("header %q", header)
	}
	classes := make(map[string]string)
	for _, r := range all(doc, "tr") {
		if c := attribute(r, "class"); c != "" {
			classes[c] += text(r.FirstChild) + " "
		}
	}
	if !strings.HasPrefix(classes["sum"], "all steps ") || strings.Contains(classes["sum"], "bid") || !strings.HasPrefix(classes["part"], "attempts of POST bid ") {
		t.Errorf("classes of rows %q", classes)
	}
	throughput := plots(t, doc)[0].Lines
	if len(throughput) != 4 || throughput[3].Name != "arrivals asked for" || *throughput[3].Y[3] != 45 || *throughput[3].Y[4] != 0 {
		t.Errorf("the throughput has the lines %+v, want two steps, failures and arrivals", throughput)
	}
}

// On a narrow screen the style sheet shows the head of each figure beside it, so each figure knows its head.
func TestEveryFigureKnowsItsHead(t *testing.T) {
	run := madeUp(20, time.Millisecond, 1, 1)
	run.Verdict.Conditions, run.Agents, run.Reconciliations = make([]Condition, 1), make([]Agent, 1), make([]Reconciliation, 1)
	run.Paths = []PathComparison{{Paths: make([]PathResult, 1)}}
	for _, table := range all(document(t, run), "table") {
		heads := all(table, "th")
		for i, cell := range all(table, "td") {
			if len(heads) == 0 {
				break // a list of names and values
			}
			if got, want := attribute(cell, "data-head"), text(heads[i%len(heads)]); got != want {
				t.Errorf("cell %d of the table of the %s has the head %q, want %q", i, text(heads[0]), got, want)
			}
		}
	}
}

// Percentiles of few requests have a mark and a class, because they are the figures of single requests.
func TestAPercentileNeedsTenRequestsBeyondIt(t *testing.T) {
	for _, c := range []struct {
		n    int64
		q    float64
		want bool
	}{{19, 50, false}, {20, 50, true}, {99, 90, false}, {100, 90, true}, {999, 99, false}, {1000, 99, true}, {9999, 99.9, false}, {10_000, 99.9, true}, {0, 50, false}} {
		if enough(c.n, c.q) != c.want {
			t.Errorf("enough(%d, %g) is %v", c.n, c.q, !c.want)
		}
	}
	cells := Histogram{Digits: 3, Values: []int64{1000}, Counts: []int64{100}}.cells()
	if got, want := strings.Join(cells, " "), "1.00 ms 1.00 ms 1.00 ms 1.00 ms ~1.00 ms ~1.00 ms ~1.00 ms 1.00 ms"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	few := 0
	for _, cell := range all(document(t, madeUp(1, time.Millisecond, 0, 1)), "td") {
		if strings.HasPrefix(text(cell), fewMark) && attribute(cell, "class") == "few" {
			few++
		}
	}
	if few == 0 {
		t.Error("no cell is marked")
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
	run.Reconciliations = []Reconciliation{{Lost: 1, Doubled: 1, LostKeys: make([]string, 1), DoubledKeys: make([]string, 1), UnknownKeys: make([]string, 1), Differences: make([]string, 1)}, {}}
	run.Paths = []PathComparison{{Compared: 1, Different: 1, Paths: []PathResult{{Latency: run.Steps[0].Total}}}}
	run.Agents, run.Services = make([]Agent, 1), make([]Field, 1)
	fill(reflect.ValueOf(run).Elem(), evil)
	doc := document(t, run)
	if n := len(all(doc, "b")) + len(all(doc, "script")) - len(all(doc, "figure")) - 1; n != 0 {
		t.Errorf("%d elements came from data", n)
	}
	if got := plots(t, doc)[0].Lines[0].Name; got != evil {
		t.Errorf("a plot shows %q", got)
	}
	for _, heading := range []string{"Verdict", "Reconciliation", "Steps", "Errors", "Paths", "Processor", "Agents", "Configuration", "Environment"} {
		if !strings.Contains(section(t, doc, heading), evil) {
			t.Errorf("section %s does not show the text as it is", heading)
		}
	}
}
