package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const (
	// sameRuns are enough for the measures of three steps.
	sameRuns = 6
	// sameTime is the length of a run.
	sameTime = 4 * time.Second
)

// BenchmarkAA compares two groups of runs of one system, which take turns. Whatever it finds is noise, so it must find
// nothing. By the promise of the comparison it may fail once in twenty times.
func BenchmarkAA(b *testing.B) {
	url := startSystem(b)
	var sides [2][]*report.Run
	for i := range 2 * sameRuns {
		side := (i + i/2) % 2 // 0 1 1 0 0 1 1 0: what drifts meets both
		sides[side] = append(sides[side], level5(b, url))
	}
	c, err := report.Compare(sides[0], sides[1])
	if err != nil {
		b.Fatal(err)
	}
	if err := c.WriteText(os.Stdout); err != nil {
		b.Fatal(err)
	}
	for _, s := range c.Steps {
		for _, d := range s.Changes {
			if d.Beyond {
				b.Errorf("A/A    %s, %s: %+.1f %% with p = %g between runs of one system", s.Name, d.Name, 100*d.Delta, d.P)
			}
		}
	}
	if c.Worse() {
		b.Errorf("A/A    one system is worse than itself: %q", c.Reasons)
	}
}

// startSystem starts all that a mixed load needs, with the demo data, and returns the URL of the front door.
func startSystem(b *testing.B) (url string) {
	b.Helper()
	primary, redis := tree.startPrimary(b), tree.startRedis(b)
	tree.seed(b, primary, "demo")
	standby := primary.StartStandby(b, durable...)
	tree.start(b, "replicator", "PRIMARY_URL="+primary.URL("replicator"), "REDIS_URL="+redis.URL())
	_, command, commandAdmin := tree.startBoth(b, "command", testenv.Unlimited, "PRIMARY_URL="+primary.URL("command"), "LOGIN_CORES=2", "JWT_KEYS_DIR="+b.TempDir(), "LOG_LEVEL=warn")
	_, query, queryAdmin := tree.startBoth(b, "query", testenv.Unlimited, "PRIMARY_URL="+primary.URL("query"), "REPLICA_URL="+standby.URL("query"),
		"STANDBY_URL="+standby.URL("query"), "REDIS_URL="+redis.URL(), "LOG_LEVEL=error")
	_, url, _ = testenv.StartFrontDoor(b, testenv.FrontDoor{Command: []testenv.Instance{{Public: command, Admin: commandAdmin}},
		Query: []testenv.Instance{{Public: query, Admin: queryAdmin}}})
	return url
}

// level5 makes one run of bids, lists and single raffles at once.
func level5(b *testing.B, url string) *report.Run {
	b.Helper()
	dir := b.TempDir()
	c := exec.CommandContext(b.Context(), testenv.Binary(b, "./loadtest"), "level", "5", "--url", url, "--vusers", "30", "--ramp-up", "0s",
		"--duration", sameTime.String(), "--no-reconcile", "--work", filepath.Join(dir, "work"), "--out", dir)
	if out, err := testenv.Run(c); err != nil {
		b.Fatalf("loadtest: %v\n%s", err, out)
	}
	return readReport(b, dir)
}
