package drill

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/frontdoor"
)

// Config says where the deployment is and what to do with it.
type Config struct {
	// URL is the front door, Database leads to every database node as a role that reads bids with their keys, Redis to
	// the server that a drill empties. Prometheus judges which alerts fire; "": nobody does.
	URL, Database, Redis, Prometheus string
	// Ready are the /readyz of programs, which all must answer 200 for the deployment to be whole.
	Ready []string
	Ctl   Ctl
	Rates Rates
	// Logs is the folder of all logs; "": they are elsewhere.
	Logs string
	// OldBuild and NewBuild are the folders of the programs between which Upgrade changes.
	OldBuild, NewBuild string
	// Drills are those to run, in their order.
	Drills []Drill
	// Out gets the table, and the stories of drills that failed; with Stories those of all.
	Out     io.Writer
	Stories bool
}

const (
	users       = 16
	raffleCount = 50
	feedCount   = 20
	// doorAttempts are few, so that a front door that is down is reported at once.
	doorAttempts = 2
	// loginTime bounds all logins before the first drill together. loginAttempts last longer than that.
	loginTime     = time.Minute
	loginAttempts = 60
)

// set is what the drills share.
type set struct {
	Config
	ctl      Ctl
	id       string // makes keys differ from those of any other set
	door     *client.Client
	feeds    *http.Client
	raffles  []int64
	bearers  []string
	programs []string
	meters   *meters
	alerts   alerts
	logs     *logs
}

// Set is the outcome of several drills.
type Set struct {
	Started time.Time
	Elapsed time.Duration
	Results []Result
	meters  *meters
}

// Run carries out the drills one after the other. The error is about the whole set; what a drill has found is in its
// result.
func Run(ctx context.Context, c Config) (*Set, error) {
	s := &set{Config: c, ctl: c.Ctl, id: newID(), logs: &logs{folder: c.Logs, read: make(map[string]int64)}, door: frontdoor.New(c.URL, doorAttempts),
		feeds: &http.Client{Transport: &http.Transport{DisableCompression: true}}}
	defer s.door.Close()
	defer s.feeds.CloseIdleConnections()
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	outcome := &Set{Started: time.Now(), meters: newMeters(time.Now())}
	s.meters = outcome.meters
	if err := head(c.Out); err != nil {
		return nil, err
	}
	for i, d := range c.Drills {
		r := s.drill(ctx, i, d)
		outcome.Results = append(outcome.Results, r)
		if err := r.write(c.Out, c.Stories); err != nil {
			return nil, err
		}
		if ctx.Err() != nil || r.broken {
			break
		}
	}
	outcome.Elapsed = time.Since(outcome.Started)
	return outcome, nil
}

func newID() string {
	var raw [5]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

// prepare finds raffles to bid on, and logs in.
func (s *set) prepare(ctx context.Context) (err error) {
	if s.programs, err = s.ctl.Programs(ctx); err != nil {
		return err
	}
	open, err := frontdoor.Raffles(ctx, s.door, client.Open)
	if err != nil {
		return err
	}
	s.raffles = open[:min(raffleCount, len(open))]
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	patient := frontdoor.New(s.URL, loginAttempts)
	defer patient.Close()
	for i := range users {
		session, err := patient.Login(ctx, fmt.Sprintf("user%d", i+1), dataset.Password)
		if err != nil {
			return err
		}
		s.bearers = append(s.bearers, "Bearer "+session.Tokens().Access)
	}
	return nil
}

// applicable returns why a drill can't run here; "" if it can.
func (s *set) applicable(ctx context.Context, steps []string) string {
	for _, step := range steps {
		if err := check(step); err != nil {
			return err.Error()
		}
		if name := missing(step, s.programs); name != "" {
			return "there is no " + name
		}
		if words := strings.Fields(step); words[0] == "fill" {
			if _, err := s.ctl.Do(ctx, "unfill", words[1]); err != nil {
				return fmt.Sprintf("the disk of %s can't be filled: %v", words[1], err)
			}
		}
		if step == "errors" && s.Logs == "" {
			return "LOADTEST_LOGS is not set"
		}
		if step == "flush" && s.Redis == "" {
			return "LOADTEST_REDIS_URL is not set"
		}
		if strings.HasPrefix(step, "fires ") && s.Prometheus == "" {
			return "LOADTEST_PROMETHEUS_URL is not set"
		}
	}
	return ""
}

// Faults are those of all drills, with the drills' names.
func (s *Set) Faults() (list []string) {
	for _, r := range s.Results {
		for _, f := range r.Faults {
			list = append(list, r.Name+": "+f)
		}
	}
	return list
}

// Skipped are the drills that did not run.
func (s *Set) Skipped() (list []string) {
	for _, r := range s.Results {
		if r.Skipped != "" {
			list = append(list, r.Name+": "+r.Skipped)
		}
	}
	return list
}

// Upgrading returns Upgrade, in which bids and reads may be out slack times as long as they should.
func Upgrading(slack int) []Drill { return []Drill{Upgrade.slower(slack)} }

// Select returns the drills of the short set or all, and of those only the ones whose names hold one of the words.
// Bids and reads may be out slack times as long as they should.
func Select(short bool, slack int, words ...string) (list []Drill) {
	for _, d := range All {
		wanted := len(words) == 0 || slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(d.Name), strings.ToLower(w)) })
		if wanted && (d.Short || !short) {
			list = append(list, d.slower(slack))
		}
	}
	return list
}

func (d Drill) slower(slack int) Drill {
	d.Writes, d.Reads, d.slack = d.Writes*time.Duration(slack), d.Reads*time.Duration(slack), slack
	return d
}
