package bench

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

var refusals = regexp.MustCompile(`(?m)^http_request_duration_seconds_bucket\{method="POST",route="/v1/raffles/\{raffle_id\}/bids",status="(?:429|503)",le="([^"]+)"\} ([0-9.e+]+)`)

// scrape reads the histogram of refused bids: how many took at most so many seconds, from their headers
// being read to their answer.
func (s *overloaded) scrape(b *testing.B) map[float64]float64 {
	b.Helper()
	buckets := make(map[float64]float64)
	for _, m := range refusals.FindAllStringSubmatch(metrics(b, s.admin), -1) {
		le, errLe := strconv.ParseFloat(m[1], 64)
		n, errN := strconv.ParseFloat(m[2], 64)
		if errLe != nil || errN != nil {
			b.Fatal(errLe, errN)
		}
		buckets[le] += n
	}
	return buckets
}

// metrics are those of the service with this URL of its admin listener.
func metrics(b *testing.B, admin string) string {
	b.Helper()
	status, _, body, err := get(admin + "/metrics")
	if err != nil || status != http.StatusOK {
		b.Fatalf("%s/metrics: status %d, %v", admin, status, err)
	}
	return string(body)
}

func (s *overloaded) printRefusals(b *testing.B, name string, before, after map[float64]float64) {
	b.Helper()
	limits := make([]float64, 0, len(after))
	for le := range after {
		limits = append(limits, le)
	}
	slices.Sort(limits)
	all := after[math.Inf(1)] - before[math.Inf(1)]
	within := func(q float64) float64 {
		for _, le := range limits {
			if after[le]-before[le] >= q*all {
				return 1000 * le
			}
		}
		return math.Inf(1)
	}
	fast := after[.005] - before[.005]
	fmt.Printf("%s   %.0f refused, in the service p50 within %g ms, p99 within %g, all within %g; %.1f %% within 5 ms\n",
		name, all, within(.5), within(.99), within(1), 100*fast/max(all, 1))
	b.ReportMetric(within(.99), "ms-refusal-p99")
}

// rss is the resident memory of command in MB (proc(5): field 2 of /proc/PID/statm, in pages).
func (s *stack) rss(b *testing.B) float64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.command.PID()))
	if err != nil {
		b.Fatal(err)
	}
	var size, resident float64
	if _, err := fmt.Sscan(string(raw), &size, &resident); err != nil {
		b.Fatal(err)
	}
	return resident * float64(os.Getpagesize()) / 1e6
}
