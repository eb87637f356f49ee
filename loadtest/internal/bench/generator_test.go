package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// trivialAddr makes this test program a server that does nothing else.
const trivialAddr = "BENCH_TRIVIAL_ADDR"

func TestMain(m *testing.M) {
	if addr := os.Getenv(trivialAddr); addr != "" {
		hello := []byte("Hello World")
		err := fasthttp.ListenAndServe(addr, func(c *fasthttp.RequestCtx) { c.SetBody(hello) })
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// cost is what a generator used for each request, and the most memory it held.
type cost struct {
	perRequest time.Duration
	rss        float64 // MB
	requests   int64
}

// BenchmarkGenerator compares the generator with wrk, by turns, against a trivial server in a process of
// its own. Counted is all processor time of the generator's process, its start and report included.
func BenchmarkGenerator(b *testing.B) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		b.Fatal("wrk is missing: deploy/local/install wrk")
	}
	addr := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b))
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	testenv.StartProcess(b, testenv.Process{Path: self, Env: []string{trivialAddr + "=" + addr}, Ready: "http://" + addr + "/hello"})
	for _, connections := range []int{64, 6000} {
		var ratios, each, memory []float64
		for range rounds {
			theirs, ours := runWrk(b, wrk, addr, connections), runOurs(b, addr, connections)
			fmt.Printf("generator  %4d connections: wrk %5.1f us, ours %5.1f us per request and %3.0f MB (%d and %d requests)\n", connections,
				micros(theirs.perRequest), micros(ours.perRequest), ours.rss, theirs.requests, ours.requests)
			ratios = append(ratios, float64(ours.perRequest)/float64(theirs.perRequest))
			each, memory = append(each, micros(ours.perRequest)), append(memory, ours.rss)
		}
		slices.Sort(ratios)
		slices.Sort(each)
		fmt.Printf("generator  %4d connections: median ratio to wrk %.2f, %.1f us per request, at most %.0f MB\n",
			connections, ratios[rounds/2], each[rounds/2], slices.Max(memory))
		b.ReportMetric(ratios[rounds/2], fmt.Sprintf("x-wrk@%d", connections))
		b.ReportMetric(each[rounds/2], fmt.Sprintf("us/request@%d", connections))
		b.ReportMetric(slices.Max(memory), fmt.Sprintf("MB@%d", connections))
	}
}

// generatorTime is long enough that starting up is of no weight.
const generatorTime = 5 * time.Second

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

var wrkRequests = regexp.MustCompile(`(\d+) requests in`)

func runWrk(b *testing.B, wrk, addr string, connections int) cost {
	b.Helper()
	c := exec.CommandContext(b.Context(), wrk, "-t2", "-c", strconv.Itoa(connections), "-d", generatorTime.String(), "http://"+addr+"/hello")
	out, err := testenv.Run(c)
	m := wrkRequests.FindSubmatch(out)
	if err != nil || m == nil {
		b.Fatalf("wrk: %v\n%s", err, out)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return costOf(b, c, n)
}

func runOurs(b *testing.B, addr string, connections int) cost {
	b.Helper()
	dir := b.TempDir()
	c := exec.CommandContext(b.Context(), testenv.Binary(b, "./loadtest"), "level", "2", "--url", "http://"+addr,
		"--vusers", strconv.Itoa(connections), "--duration", generatorTime.String(), "--max-errors", "0", "--out", dir)
	if out, err := testenv.Run(c); err != nil {
		b.Fatalf("loadtest: %v\n%s", err, out)
	}
	return costOf(b, c, readReport(b, dir).Steps[0].OK)
}

// readReport reads the one report of a folder.
func readReport(b *testing.B, dir string) *report.Run {
	b.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != 1 {
		b.Fatalf("reports %q, %v", files, err)
	}
	file, err := os.Open(files[0])
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	run, err := report.ReadJSON(file)
	if err != nil {
		b.Fatal(err)
	}
	return run
}

func costOf(b *testing.B, c *exec.Cmd, requests int64) cost {
	b.Helper()
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok || requests == 0 {
		b.Fatalf("%d requests, usage %v", requests, ok)
	}
	used := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	return cost{perRequest: used / time.Duration(requests), rss: float64(usage.Maxrss) / 1e3, requests: requests}
}
