package levels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/cluster"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/frontdoor"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/reconcile"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// doorAttempts are few, so that a system that is down is reported at once.
const doorAttempts = 3

// FileJournal is the name of the journal among an outcome's files.
const FileJournal = "journal"

// Runner makes the load of one generator. It is a cluster.Runner.
type Runner struct {
	// Dir keeps tokens and journals. The runner removes nothing in it but the journal of the same job.
	Dir string
	// Notes gets a line for each step that takes long before the load begins.
	Notes io.Writer
	// Procs is how many processors the load may use at once; 0: as many as the program has.
	Procs int
}

// shared is what the users of a level share.
type shared struct {
	plan       Plan
	firstUser  int
	raffles    []int64 // hottest first
	popularity *dataset.Zipf
	accounts   []account // by the user's number in this generator
	journal    *reconcile.Journal
	logins     int
}

func (w *shared) raffle(u *engine.User) int64 { return w.raffles[w.popularity.Rank(u.Rand)-1] }

func (w *shared) login(user int) string { return fmt.Sprintf("user%d", 1+user%w.logins) }

// Run makes the job's part of a level's load.
func (r *Runner) Run(ctx context.Context, job cluster.Job, progress func(report.Progress)) (cluster.Outcome, error) {
	var p Plan
	if err := job.DecodePlan(&p); err != nil {
		return cluster.Outcome{}, err
	}
	level, err := Find(p.Level)
	if err = errors.Join(err, p.Check(), engine.CheckLimits(job.Share.Users)); err != nil {
		return cluster.Outcome{}, err
	}
	level = level.of(p)
	door := frontdoor.New(p.URL, doorAttempts)
	defer door.Close()
	w, err := r.prepare(ctx, door, level, p, job)
	if err != nil {
		return cluster.Outcome{}, err
	}
	outcome := cluster.Outcome{Files: make(map[string]string)}
	if level.writes {
		path := filepath.Join(r.Dir, "journal-"+job.ID+fmt.Sprintf("-%d", job.Share.Agent))
		if w.journal, err = createJournal(path, fmt.Sprintf("load-%s-%d", job.ID, job.Share.Agent), p.After); err != nil {
			return outcome, err
		}
		outcome.Files[FileJournal] = path
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(r.Procs))
	outcome.Run, err = w.load(ctx, level, job, door, progress)
	if w.journal != nil {
		err = errors.Join(err, w.journal.Close())
	}
	return outcome, err
}

func createJournal(path, prefix string, after int64) (*reconcile.Journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return reconcile.CreateJournal(path, prefix, after)
}

// prepare does the work that is not part of the load: it looks for raffles and logs in.
func (r *Runner) prepare(ctx context.Context, door *client.Client, level Level, p Plan, job cluster.Job) (w *shared, err error) {
	w = &shared{plan: p, firstUser: job.Share.FirstUser, accounts: make([]account, job.Share.Users)}
	if p.Raffle > 0 {
		w.raffles, w.popularity = []int64{p.Raffle}, dataset.NewZipf(1, dataset.Skew)
	}
	if level.raffles {
		if w.raffles, err = frontdoor.Raffles(ctx, door, client.Open); err != nil {
			return nil, err
		}
		w.popularity = dataset.NewZipf(len(w.raffles), dataset.Skew)
	}
	if !level.writes {
		return w, nil
	}
	patient := frontdoor.New(p.URL, loginAttempts)
	defer patient.Close()
	if w.logins, err = logins(ctx, patient, p); err != nil {
		return nil, err
	}
	if level.ID == "6" { // the scenario logs in by itself
		return w, nil
	}
	return w, r.logIn(ctx, patient, w, job)
}

// logins is the number of users to log in as: the plan's number, otherwise one for each virtual user, or all
// users if the data set has fewer.
func logins(ctx context.Context, door *client.Client, p Plan) (int, error) {
	n := p.Logins
	if n == 0 {
		n = p.VUsers
	}
	_, err := logIn(ctx, door, fmt.Sprintf("user%d", n))
	if errors.Is(err, errNoSuchLogin) && p.Logins == 0 && n > dataset.Demo.Users {
		n = dataset.Demo.Users
		_, err = logIn(ctx, door, fmt.Sprintf("user%d", n))
	}
	if err != nil {
		return 0, fmt.Errorf("log in as user%d: %w", n, err)
	}
	return n, nil
}

func (r *Runner) logIn(ctx context.Context, door *client.Client, w *shared, job cluster.Job) error {
	start := time.Now()
	name := strings.NewReplacer("/", "", ":", "_").Replace(strings.TrimPrefix(door.Base(), "http"))
	t, err := openTokens(door, filepath.Join(r.Dir, "tokens"+name+".json"))
	if err != nil {
		return err
	}
	if err := t.prune(ctx, start.Add(tokenSpare)); err != nil {
		return err
	}
	logins := make([]string, job.Share.Users)
	for i := range logins {
		logins[i] = w.login(job.Share.FirstUser + i)
	}
	var obtained int64
	w.accounts, err = t.obtain(ctx, logins, func(done, total int64) {
		if obtained = done; done%500 == 0 {
			fmt.Fprintf(r.Notes, "log in: %d of %d\n", done, total)
		}
	})
	if err == nil {
		fmt.Fprintf(r.Notes, "tokens: %d obtained in %.1f s, the others from %s\n", obtained, time.Since(start).Seconds(), t.file)
	}
	return err
}

// sendTime bounds a request that is sent once.
const sendTime = 30 * time.Second

// get reads a target once.
func get(ctx context.Context, door *client.Client, target string, header ...string) (client.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	a, err := door.Send(ctx, http.MethodGet, target, nil, header...)
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d", target, a.Status)
	}
	return a, err
}

// lag returns the read model's lag in milliseconds. It asks once, because a later answer is no sample of this moment.
func lag(ctx context.Context, door *client.Client, raffle int64) (float64, error) {
	a, err := get(ctx, door, fmt.Sprintf("/v1/raffles/%d/bids?size=%d&limit=1", raffle, dataset.SmallestSize), "Read-Path", "redis")
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(a.Header.Get("Read-Lag-Ms"), 64)
}

// load waits for the start and runs the engine.
func (w *shared) load(ctx context.Context, level Level, job cluster.Job, door *client.Client, progress func(report.Progress)) (*report.Run, error) {
	addr, tls, err := w.plan.Address()
	if err != nil {
		return nil, err
	}
	c := w.plan.load()
	c.Addr, c.TLS, c.DropBodies, c.Steady = addr, tls, level.dropBodies, level.steady
	c.FirstUser, c.VUsers, c.Part, c.Parts = job.Share.FirstUser, job.Share.Users, job.Share.Agent, job.Share.Agents
	if len(w.raffles) > 0 {
		c.Lag = func(ctx context.Context) (float64, error) { return lag(ctx, door, w.raffles[0]) }
	}
	if c.Start, err = job.Begin(ctx); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	c.Progress = watchful(progress, end)
	ctx, cancel := context.WithTimeoutCause(ctx, w.plan.MaxDuration, fmt.Errorf("%w: it took longer than --max-duration (%v)", errEnded, w.plan.MaxDuration))
	defer cancel()
	run, err := engine.Run(ctx, c, level.scenario(w))
	if run == nil {
		return nil, err
	}
	run.Name, run.Purpose, run.Level = "level "+level.ID+": "+level.Title, level.Purpose, level.ID
	run.Seed, run.Config = w.plan.Seed, w.plan.fields()
	if len(w.raffles) > 0 {
		run.Environment = append(run.Environment, report.Field{Name: "raffles to bid on", Value: strconv.Itoa(len(w.raffles))})
	}
	if cause := context.Cause(ctx); errors.Is(cause, errEnded) {
		run.Verdict.Failed = append(run.Verdict.Failed, cause.Error())
	}
	Describe(run)
	return run, err
}

var errEnded = errors.New("the load was ended early")

// hopeless is for how many seconds a run goes on in which no request is answered well.
const hopeless = 30

// watchful ends a run after hopeless seconds without a good answer. Pauses do not count.
func watchful(progress func(report.Progress), end context.CancelCauseFunc) func(report.Progress) {
	bad := 0
	return func(p report.Progress) {
		if !p.Pause {
			bad++
		}
		if p.Last.OK > 0 || p.ActiveUsers == 0 {
			bad = 0
		}
		if bad >= hopeless {
			end(fmt.Errorf("%w: no request was answered well for %d s", errEnded, hopeless))
		}
		if progress != nil {
			progress(p)
		}
	}
}
