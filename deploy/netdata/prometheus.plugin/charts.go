package main

import (
	"bufio"
	"fmt"
	"strings"
	"time"
)

const (
	// maxCharts and maxSeries bound what a target can make netdata hold.
	maxCharts, maxSeries = 200, 100
	// decimals: netdata takes whole numbers, which it divides.
	decimals = 1000
)

// charts are the series of each chart of a target that netdata has been told of, by the name of the metric.
type charts map[string]map[string]bool

// write tells netdata the values, and before that the charts and series that it does not know yet. The readings of a metric
// follow each other.
func (c charts) write(out *bufio.Writer, target string, every time.Duration, readings []reading) {
	for len(readings) > 0 {
		n := 1
		for n < len(readings) && readings[n].metric == readings[0].metric {
			n++
		}
		c.chart(out, target, every, readings[:min(n, maxSeries)])
		readings = readings[n:]
	}
}

func (c charts) chart(out *bufio.Writer, target string, every time.Duration, readings []reading) {
	first := readings[0]
	known := c[first.metric]
	if known == nil {
		if len(c) >= maxCharts {
			return
		}
		known = map[string]bool{}
		c[first.metric] = known
	}
	id, told := "prometheus_"+target+"."+first.metric, false
	for _, r := range readings {
		if known[r.series] || len(known) >= maxSeries {
			continue
		}
		if !told { // a chart that is told again keeps its series
			told = true
			group, _, _ := strings.Cut(first.metric, "_")
			fmt.Fprintf(out, "CHART %s '' '%s' '%s' '%s' 'prometheus.%s' line 90000 %d '' prometheus.plugin '%s'\n",
				id, quoted(first.help), unit(first), group, first.metric, int(every.Seconds()), target)
		}
		known[r.series] = true
		algorithm := "absolute"
		if r.counter {
			algorithm = "incremental"
		}
		fmt.Fprintf(out, "DIMENSION '%s' '%s' %s 1 %d\n", quoted(r.series), quoted(r.series), algorithm, decimals)
	}
	fmt.Fprintf(out, "BEGIN %s\n", id)
	for _, r := range readings {
		if known[r.series] {
			fmt.Fprintf(out, "SET '%s' = %d\n", quoted(r.series), int64(r.value*decimals))
		}
	}
	fmt.Fprintln(out, "END")
}

// unit is told by a metric's name, as Prometheus' conventions have it.
func unit(r reading) string {
	name := strings.TrimSuffix(r.metric, "_total")
	unit := "value"
	for _, word := range []string{"seconds", "bytes", "connections", "bids", "requests"} {
		if strings.HasSuffix(name, word) || strings.HasSuffix(name, word+"_sum") {
			unit = word
		}
	}
	if r.counter {
		return strings.Replace(unit, "value", "events", 1) + "/s"
	}
	return unit
}

// quoted is a text that may stand between apostrophes in a line to netdata.
func quoted(s string) string {
	return strings.NewReplacer("'", "", "\n", " ", "\\", "/").Replace(s)
}
