package drill

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Result is what a drill has found.
type Result struct {
	Name    string        `json:"name"`
	Started time.Time     `json:"started"`
	Took    time.Duration `json:"took_ns"`
	Count
	NoWrites    time.Duration `json:"no_writes_ns"` // the longest time without an accepted bid
	NoReads     time.Duration `json:"no_reads_ns"`  // the longest time without an answered plain read
	WritesBound time.Duration `json:"-"`
	ReadsBound  time.Duration `json:"-"`
	// Whole is the time from the end of the load until every part was back in its role.
	Whole time.Duration `json:"whole_ns"`
	// Paths counts plain reads by the path that served them during the failure.
	Paths map[string]int `json:"paths"`
	// Leaders is the most nodes that took writes at once.
	Leaders                       int `json:"leaders"`
	FeedLost, FeedDoubled, Resets int
	// Failures is the number of requests that did not succeed at once.
	Failures int `json:"failures"`
	// LeftOut is the number of requests that were due and not sent, because as many as may be were under way.
	LeftOut int64 `json:"left_out"`
	// Alerts have fired.
	Alerts  []string `json:"alerts,omitempty"`
	Faults  []string `json:"faults,omitempty"`
	Skipped string   `json:"skipped,omitempty"` // why the drill did not run

	story  *story
	broken bool // further drills would begin with a broken deployment
}

func (r *Result) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// Passed says whether the drill ran and found no fault.
func (r *Result) Passed() bool { return len(r.Faults) == 0 && r.Skipped == "" }

const rowFormat = "%-36s %6s %5s %7s %5s %6s %8s %8s %6s %7s %6s  %-7s %s\n"

// head writes the head of the table.
func head(w io.Writer) error {
	_, err := fmt.Fprintf(w, rowFormat, "drill", "acked", "lost", "doubled", "late", "wrong", "no write", "no read", "whole", "leaders", "took", "", "served by")
	return err
}

// write writes the row of a drill and, if it did not pass or always is set, its faults and its story.
func (r *Result) write(w io.Writer, always bool) error {
	if r.Skipped != "" {
		_, err := fmt.Fprintf(w, "%-36s skipped: %s\n", r.Name, r.Skipped)
		return err
	}
	word := "ok"
	if !r.Passed() {
		word = "FAILED"
	}
	_, err := fmt.Fprintf(w, rowFormat, r.Name, fmt.Sprint(r.Acknowledged), fmt.Sprint(r.Lost), fmt.Sprint(r.Doubled), fmt.Sprint(r.Late), fmt.Sprint(r.Wrong),
		seconds(r.NoWrites), seconds(r.NoReads), seconds(r.Whole), fmt.Sprint(r.Leaders), seconds(r.Took), word, served(r.Paths)+r.told())
	if err != nil || r.Passed() && !always {
		return err
	}
	for _, f := range append(slices.Clone(r.Faults), r.Examples...) {
		if _, err := fmt.Fprintf(w, "    %s\n", f); err != nil {
			return err
		}
	}
	if r.story == nil {
		return nil
	}
	return r.story.write(w)
}

// told names the alerts that have fired.
func (r *Result) told() string {
	if len(r.Alerts) == 0 {
		return ""
	}
	return "; alerts " + strings.Join(r.Alerts, ", ")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// served lists the paths, the busiest first.
func served(paths map[string]int) string {
	parts := make([]string, 0, len(paths))
	for _, p := range slices.SortedFunc(maps.Keys(paths), func(a, b string) int { return paths[b] - paths[a] }) {
		parts = append(parts, fmt.Sprintf("%s %d", p, paths[p]))
	}
	return strings.Join(parts, ", ")
}
