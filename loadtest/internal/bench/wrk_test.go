package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// wrkConnections are enough to keep both processors busy, so that waiting behind other lookups costs no throughput.
const wrkConnections = 256

// A SQL path has 16 connections and sheds lookups that would wait too long for one.
const sqlClients = 32

// The queue of heavy lookups has room for some 70 pages of 2,000 bids and refuses further ones.
const heavyClients = 48

// load is what wrk asks for: the paths at random, all with the same headers.
type load struct {
	of      *build // nil: the baseline
	addr    string
	paths   []string
	headers []string // "Name: value"
	clients int      // connections
}

// pick is wrk's script: a random line of the file whose name is given behind --.
const pick = `local paths, n = {}, 0
init = function(args)
  for line in io.lines(args[1]) do n = n + 1; paths[n] = line end
  math.randomseed(tonumber(args[2]) + os.time())
end
request = function() return wrk.format(nil, paths[math.random(n)]) end
`

var (
	wrkRate  = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkTotal = regexp.MustCompile(`(\d+) requests in`)
	// lookups are shed if something else takes the processors for long enough
	wrkRefused = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
)

// warm is run without a look at the answers, so that plans, caches and connections are made.
func (l load) warm(b *testing.B, d time.Duration) { l.wrk(b, d) }

// run returns the requests per second, how many there were, and the generator's processor time. Refused
// requests are printed and not counted; more than one in a hundred fails the benchmark, unless they are the base's.
func (l load) run(b *testing.B, d time.Duration) (perSecond float64, requests int, generator time.Duration) {
	b.Helper()
	out, generator := l.wrk(b, d)
	rate, total := wrkRate.FindStringSubmatch(out), wrkTotal.FindStringSubmatch(out)
	if rate == nil || total == nil {
		b.Fatalf("%s: wrk says\n%s", l.paths[0], out)
	}
	perSecond, err := strconv.ParseFloat(rate[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	if requests, err = strconv.Atoi(total[1]); err != nil {
		b.Fatal(err)
	}
	if requests == 0 {
		b.Fatalf("%s: no answer at all; wrk says\n%s", l.paths[0], out)
	}
	if refused := wrkRefused.FindStringSubmatch(out); refused != nil {
		n, err := strconv.Atoi(refused[1])
		if err != nil || n == requests || n > requests/100 && (l.of == nil || l.of == tree) {
			b.Fatalf("%s: wrk says\n%s", l.paths[0], out)
		}
		fmt.Printf("read   %s: %d of %d were refused by %s\n", l.paths[0], n, requests, l.name())
		perSecond *= 1 - float64(n)/float64(requests)
		requests -= n
	}
	return perSecond, requests, generator
}

func (l load) name() string {
	if l.of == nil {
		return "the baseline"
	}
	return l.of.name
}

func (l load) wrk(b *testing.B, d time.Duration) (out string, generator time.Duration) {
	b.Helper()
	dir := b.TempDir()
	script, list := filepath.Join(dir, "pick.lua"), filepath.Join(dir, "paths")
	for name, text := range map[string]string{script: pick, list: strings.Join(l.paths, "\n") + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	args := []string{"-t2", "-c" + strconv.Itoa(l.clients), "-d" + d.String()}
	for _, h := range l.headers {
		args = append(args, "-H", h)
	}
	url := "http://" + l.addr
	if len(l.paths) == 1 { // without a script, which costs the generator
		url += l.paths[0]
	} else {
		args = append(args, "-s", script)
	}
	args = append(args, url)
	if len(l.paths) > 1 {
		args = append(args, "--", list, strconv.Itoa(os.Getpid()))
	}
	ctx, cancel := context.WithTimeout(context.Background(), d+30*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "wrk", args...)
	text, err := testenv.Run(c)
	if err != nil {
		b.Fatalf("wrk (deploy/local/install wrk): %v\n%s", err, text)
	}
	return string(text), c.ProcessState.UserTime() + c.ProcessState.SystemTime()
}
