package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/levels"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const levelUsage = `usage: loadtest level N [FLAGS]

Puts the system under the load of one level and judges what it did:

`

// place is where the system is and where results go. Its defaults come from the environment that
// deploy/local/loadtest sets.
type place struct {
	url       string
	database  string
	processes map[string]int
	work      string // tokens and journals
	out       string // reports
}

// addPlace adds the flags that all load commands share. URLs with passwords come from the environment only.
func addPlace(flags *flag.FlagSet) *place {
	p := &place{database: os.Getenv("LOADTEST_DATABASE_URL")}
	flags.StringVar(&p.url, "url", cmp.Or(os.Getenv("LOADTEST_URL"), "http://127.0.0.1:8080"), "`address` of the front door")
	local := cmp.Or(os.Getenv("LOCAL_DIR"), ".local")
	flags.StringVar(&p.out, "out", filepath.Join(local, "reports"), "`folder` for reports")
	flags.StringVar(&p.work, "work", filepath.Join(local, "loadtest"), "`folder` for tokens and journals")
	return p
}

// isHere says whether the URL is of this machine. If so, the system and the generator share the machine.
func (p *place) isHere() bool {
	u, err := url.Parse(p.url)
	return err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
}

// procs is how many cores the generator may use. If the system is on this machine, it gets half of them, unless GOMAXPROCS says
// otherwise.
func (p *place) procs() int {
	if os.Getenv("GOMAXPROCS") == "" && p.isHere() {
		return max(1, runtime.NumCPU()/2)
	}
	return runtime.GOMAXPROCS(0)
}

// readProcesses reads LOADTEST_PROCESSES: NAME=PID, separated by commas.
func (p *place) readProcesses() error {
	p.processes = make(map[string]int)
	for pair := range strings.SplitSeq(os.Getenv("LOADTEST_PROCESSES"), ",") {
		if pair == "" {
			continue
		}
		name, number, _ := strings.Cut(pair, "=")
		pid, err := strconv.Atoi(number)
		if err != nil || pid < 1 {
			return fmt.Errorf("LOADTEST_PROCESSES: %q is not NAME=PID", pair)
		}
		p.processes[name] = pid
	}
	return nil
}

func runLevel(ctx context.Context, args []string, out, notes io.Writer) error {
	q, p, err := parseLevel(args, out)
	if err != nil {
		return err
	}
	return execute(ctx, q, p, out, notes)
}

// parseLevel reads the level's number, and then the flags, which change the defaults of that level.
func parseLevel(args []string, out io.Writer) (q levels.Request, p *place, err error) {
	var level levels.Level
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		if level, err = levels.Find(args[0]); err != nil {
			return q, p, cli.Wrong(err)
		}
		args = args[1:]
	}
	flags := cli.NewFlags("loadtest level", levelHelp())
	p = addPlace(flags)
	addLoad(flags, &q, level.Defaults)
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return q, p, err
	}
	if level.ID == "" {
		return q, p, cli.Wrong(errors.New("which level? loadtest level --help lists them"))
	}
	q.Plan.Level, q.Plan.URL = level.ID, p.url
	if err := errors.Join(bound(flags, &q.Plan), q.Plan.Check(), p.readProcesses()); err != nil {
		return q, p, cli.Wrong(err)
	}
	return q, p, nil
}

// bound settles what ends the load. A duration, or iterations, that are given alone drop the other that the level has by
// default.
func bound(flags *flag.FlagSet, p *levels.Plan) error {
	if len(p.Stages) > 0 {
		if given(flags, "rate") || given(flags, "duration") {
			return errors.New("--stages says the rate and the duration: leave out --rate and --duration")
		}
		p.Duration = p.Stages.Length()
	}
	timed := len(p.Stages) > 0 || given(flags, "duration")
	if timed && !given(flags, "iterations") {
		p.Iterations = 0
	}
	if !timed && given(flags, "iterations") {
		p.Duration = 0
	}
	return nil
}

func levelHelp() string {
	help := levelUsage
	for _, l := range append(levels.All[:len(levels.All):len(levels.All)], levels.Mixed) {
		help += fmt.Sprintf("  %s  %s. %s\n", l.ID, l.Title, l.Purpose)
	}
	return help + "\nThe defaults of a level's flags are its full size.\n"
}

func addLoad(flags *flag.FlagSet, q *levels.Request, d levels.Plan) {
	flags.IntVar(&q.Plan.VUsers, "vusers", d.VUsers, "virtual users")
	flags.IntVar(&q.Plan.Iterations, "iterations", d.Iterations, "times that each user runs the scenario; with --duration, what comes first ends the run")
	flags.DurationVar(&q.Plan.Duration, "duration", d.Duration, "length of the run")
	flags.Float64Var(&q.Plan.Rate, "rate", 0, "scenario starts per second over all users, answers or not (open model); 0: as fast as answers come (closed)")
	flags.Func("stages", "a rate that changes (open model), instead of --rate and --duration: `30s:100,1m:1000,30s:0` goes linearly from 0/s to 100/s within 30 s, to 1000/s within a minute and to 0/s within 30 s; a time of 0s jumps", func(text string) (err error) {
		q.Plan.Stages, err = engine.ParseStages(text)
		return err
	})
	flags.DurationVar(&q.Plan.RampUp, "ramp-up", d.RampUp, "time within which the users start, one after the other")
	flags.DurationVar(&q.Plan.Think, "think", d.Think, "mean pause between two requests (levels 6, 7 and mix)")
	flags.Func("mix", "what the users of level mix do, and how often: `bid=1,list=2,raffle=5,bids=3,mine=1,cancel=0.1`", func(text string) (err error) {
		q.Plan.Mix, err = levels.ParseMix(text)
		return err
	})
	flags.Uint64Var(&q.Plan.Seed, "seed", 1, "the same seed makes the same requests")
	flags.StringVar(&q.Plan.Client, "client", engine.ClientFast, "fasthttp, or nethttp as a cross-check and for HTTP/2 over TLS")
	flags.IntVar(&q.Plan.Logins, "logins", 0, "log in as user1 to userN (default: one for each virtual user, or as many as there are)")
	flags.DurationVar(&q.Plan.Patience, "patience", time.Minute, "how long a bid without an answer is sent again with its key")
	flags.DurationVar(&q.Plan.MaxDuration, "max-duration", max(d.MaxDuration, 20*time.Minute), "end the load then, whatever is left of it, and fail")
	flags.BoolVar(&q.Plan.ShareConnections, "share-connections", false, "send over one pool of connections (default: each user has one of its own)")
	flags.IntVar(&q.Procs, "procs", 0, "processors that the load may use at once (default: half of them if the URL is of this machine, else all)")
	flags.DurationVar(&q.Limits.MaxP99, "max-p99", 0, "fail if the 99th percentile of a step is above, failed requests included")
	flags.Float64Var(&q.Limits.MaxErrors, "max-errors", 0, "fail if more `percent` of a step's requests fail")
	flags.Float64Var(&q.Limits.MinRate, "min-rate", 0, "fail with fewer good requests per second")
	flags.BoolVar(&q.NoReconcile, "no-reconcile", false, "do not look whether bids were lost or doubled")
}

func given(flags *flag.FlagSet, name string) (found bool) {
	flags.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// execute runs a level, shows the result and writes its reports.
func execute(ctx context.Context, q levels.Request, p *place, out, notes io.Writer) error {
	q.Dir, q.Database, q.Processes, q.Notes = p.work, p.database, p.processes, notes
	if q.Procs == 0 {
		q.Procs = p.procs()
	}
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return fmt.Errorf("reports have no place, --out names another: %w", err)
	}
	show := newLive(notes)
	q.Progress, q.Compared = show.load.Update, show.step
	q.Keep = func(run *report.Run) {
		show.end()
		if name, err := keep(run, p.out); err != nil {
			fmt.Fprintln(notes, err)
		} else {
			fmt.Fprintf(notes, "the load is over: %s.json; now its bids are compared\n", name)
		}
	}
	run, err := levels.Execute(ctx, q)
	show.end()
	if err != nil {
		return err
	}
	return emit(run, p.out, out, run.WriteText)
}
