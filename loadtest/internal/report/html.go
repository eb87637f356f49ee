package report

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
)

// The plots are drawn by uPlot (53 kB in each page, beside about 2 kB of data for each plot), because hover and zoom show single
// seconds of a run. gonum/plot needs no script, but its 14 plots of such a run are 160 kB of SVG that neither hover nor zoom.
//
//go:embed report.html report.css report.js uplot
var files embed.FS

// file is the text of an embedded file.
func file(name string) string {
	text, err := files.ReadFile(name)
	if err != nil {
		panic("report: " + err.Error())
	}
	return string(text)
}

var (
	page = template.Must(template.New("report.html").Funcs(template.FuncMap{
		"cell": cell, "clock": clock, "elapsed": elapsed, "latency": latency, "percent": percent, "rate": rate, "some": some,
	}).ParseFS(files, "report.html"))
	style  = file("uplot/uPlot.min.css") + file("report.css")
	script = "/*\n" + file("uplot/LICENSE") + "\n*/\n" + file("uplot/uPlot.iife.min.js") + file("report.js")
	policy = scriptPolicy(script)
)

// scriptPolicy is a Content-Security-Policy by which a page runs this script alone and loads nothing.
func scriptPolicy(script string) string {
	sum := sha256.Sum256([]byte(script))
	return "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'; script-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// WriteHTML writes the run as one file that loads nothing else. Without scripts it lacks the plots.
func (r *Run) WriteHTML(w io.Writer) error {
	v := view{r, policy, template.CSS(style), template.JS(script)} //nolint:gosec // our own files
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("write the result as HTML: %w", err)
	}
	return nil
}

// view is what the template sees. Its methods are the parts of the page that need work.
type view struct {
	*Run
	Policy string
	Style  template.CSS
	Script template.JS
}

// FewNote explains the mark of a percentile.
func (v view) FewNote() string { return fewNote }

// NotStarted are the virtual users that never began.
func (v view) NotStarted() int { return v.Users.Asked - v.Users.Started }

// LatencyHead are the heads of latencies.
func (v view) LatencyHead() []string { return latencyHead }

// cell is a cell of a table with its head, which a narrow screen shows beside it. Of the class "alarm" is only what is
// not 0.
func cell(head, class string, value any) template.HTML {
	var text string
	switch v := value.(type) {
	case int64:
		text = progress.Grouped(v)
	case int:
		text = progress.Grouped(int64(v))
	case time.Duration:
		text = latency(v)
	default:
		text = fmt.Sprint(v)
	}
	if class == "alarm" && text == "0" {
		class = ""
	}
	if strings.HasPrefix(text, fewMark) {
		class = "few"
	}
	return template.HTML(fmt.Sprintf(`<td data-head="%s" class="%s">%s</td>`, head, class, template.HTMLEscapeString(text))) //nolint:gosec // escaped
}

// headline is one of the figures at the top.
type headline struct{ Value, Name string }

// Headlines are what most readers came for.
func (v view) Headlines() (out []headline) {
	all := v.All()
	if !v.OfPaths() {
		cells := all.Total.cells()
		out = []headline{{rate(v.PerSecond(all.OK)), "requests per second"}, {cells[2], "median latency"}, {cells[5], "99th percentile"}}
	}
	return append(out, headline{progress.Grouped(all.OK), "good requests"},
		headline{progress.Grouped(all.Failed), "failed (" + percent(part(all.Failed, all.Count())) + ")"},
		headline{elapsed(v.Elapsed), "duration"})
}

// OfPaths reports whether the run compares paths. Its reads come at a rate of its own, so sums over them say nothing.
func (r *Run) OfPaths() bool { return r.Level == "paths" }

func part(n, of int64) float64 { return float64(n) / float64(max(of, 1)) }

// ErrorShare is the part of its step's requests that failed in this way.
func (v view) ErrorShare(e ErrorKind) string {
	return percent(part(e.Count, v.Step(e.Step).Count()))
}

// comparison is a comparison of paths as the page shows it, with bars on one logarithmic axis from Low to High.
type comparison struct {
	PathComparison
	Low, High time.Duration
	Rows      []comparisonRow
	Charts    []chart
}

// comparisonRow has a bar from p50 to p99, in percent of the axis. A path without a good request has none.
type comparisonRow struct {
	PathResult
	Label, Ratio string
	Latency      []string
	Left, Width  float64
}

// Comparisons are the comparisons of paths.
func (v view) Comparisons() (out []comparison) {
	for _, c := range v.Paths {
		shown := comparison{PathComparison: c, Low: math.MaxInt64, Charts: drawn(c.medians(), percentileCurve(c.steps()))}
		for _, p := range c.Paths {
			if s := p.Latency.Summary(); s.P50 > 0 {
				shown.Low, shown.High = min(shown.Low, s.P50), max(shown.High, s.P99)
			}
		}
		place := func(d time.Duration) float64 {
			return 100 * math.Log(float64(d)/float64(shown.Low)) / math.Log(max(float64(shown.High)/float64(shown.Low), 1.01))
		}
		for _, p := range c.Paths {
			row := comparisonRow{PathResult: p, Label: p.label(), Ratio: c.ratioText(p), Latency: p.Latency.cells()}
			if s := p.Latency.Summary(); s.P50 > 0 {
				row.Left, row.Width = min(place(s.P50), 99), max(place(s.P99)-place(s.P50), 1)
			}
			shown.Rows = append(shown.Rows, row)
		}
		out = append(out, shown)
	}
	return out
}
