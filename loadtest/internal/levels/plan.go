package levels

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// Plan is a whole load, over all generators. Its JSON form is what a controller sends to its agents.
type Plan struct {
	// Level is the ID of one of All.
	Level string `json:"level"`
	// URL is scheme and authority of the front door.
	URL        string        `json:"url"`
	VUsers     int           `json:"vusers"`
	Iterations int           `json:"iterations"`
	Duration   time.Duration `json:"duration_ns"`
	Rate       float64       `json:"rate"`
	// Stages are a rate that changes. If there are any, Rate is 0 and Duration theirs.
	Stages engine.Stages `json:"stages,omitempty"`
	RampUp time.Duration `json:"ramp_up_ns"`
	// Think is the mean time between two requests of a scenario (levels 6, 7 and mix).
	Think  time.Duration `json:"think_ns"`
	Seed   uint64        `json:"seed"`
	Client string        `json:"client"`
	// Logins is the number of seeded users to log in as, user1 to userN; 0: one for each virtual user, if
	// the data set has as many.
	Logins int `json:"logins"`
	// Patience is for how long a bid that was not acknowledged is sent again.
	Patience time.Duration `json:"patience_ns"`
	// MaxDuration ends a run that has no end of its own, because the system has none of answers, say.
	MaxDuration time.Duration `json:"max_duration_ns"`
	// ShareConnections is the engine's.
	ShareConnections bool `json:"share_connections"`
	// Mix is that of the level Mixed.
	Mix Mix `json:"mix,omitempty"`
	// Raffle is the only one to bid on; 0: all open ones. Execute sets it.
	Raffle int64 `json:"raffle"`
	// After is the highest id of a bid before the run. Execute sets it.
	After int64 `json:"after"`
}

// Limits are what a run has to keep beside what every run has to. Zero is no limit, but for MaxErrors.
type Limits struct {
	// MaxP99 is for every step, from the intended start, failed requests included.
	MaxP99 time.Duration
	// MaxErrors is the highest share of failed requests of each step, in percent.
	MaxErrors float64
	// MinRate is the lowest number of good requests per second over all steps.
	MinRate float64
}

// load is the plan as an engine takes it that makes all of the load.
func (p Plan) load() engine.Config {
	return engine.Config{Client: p.Client, VUsers: p.VUsers, Iterations: p.Iterations, Duration: p.Duration, Rate: p.Rate,
		Stages: p.Stages, RampUp: p.RampUp, Seed: p.Seed, ShareConnections: p.ShareConnections}
}

// Check reports everything that is wrong with the plan.
func (p Plan) Check() error {
	var errs []error
	if _, err := Find(p.Level); err != nil {
		errs = append(errs, err)
	}
	if _, _, err := p.Address(); err != nil {
		errs = append(errs, err)
	}
	if err := p.load().Check(); err != nil {
		errs = append(errs, err)
	}
	if p.Iterations < 0 || p.Duration < 0 || p.RampUp < 0 || p.Think < 0 || p.Logins < 0 || p.Patience < 0 {
		errs = append(errs, errors.New("nothing can be negative"))
	}
	if l, err := Find(p.Level); err == nil && l.closes && (p.Duration <= 0 || p.Iterations > 0) {
		errs = append(errs, fmt.Errorf("level %s needs a duration and no iterations, because it closes its raffle halfway", l.ID))
	}
	if err := p.Mix.check(p.Level); err != nil {
		errs = append(errs, err)
	}
	if p.MaxDuration <= 0 {
		errs = append(errs, errors.New("the longest duration must be positive"))
	} else if p.Duration >= p.MaxDuration {
		errs = append(errs, fmt.Errorf("the load takes %v, but --max-duration ends it after %v, and then it fails: raise --max-duration", p.Duration, p.MaxDuration))
	}
	return errors.Join(errs...)
}

// Address returns host:port and whether TLS is spoken.
func (p Plan) Address() (addr string, tls bool, err error) {
	u, err := url.Parse(p.URL)
	if err != nil {
		return "", false, err
	}
	ports := map[string]string{"http": "80", "https": "443"}
	if ports[u.Scheme] == "" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return "", false, fmt.Errorf("the URL %q is not http://host:port or https://host:port", p.URL)
	}
	port := u.Port()
	if port == "" {
		port = ports[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port), u.Scheme == "https", nil
}

// open is whether the load is of the open model.
func (p Plan) open() bool { return p.Rate > 0 || len(p.Stages) > 0 }

func (p Plan) fields() []report.Field {
	fields := []report.Field{
		{Name: "URL", Value: p.URL},
		{Name: "virtual users", Value: fmt.Sprint(p.VUsers)},
		{Name: "iterations each", Value: fmt.Sprint(p.Iterations)},
		{Name: "duration", Value: fmt.Sprint(p.Duration)},
		{Name: "rate", Value: fmt.Sprintf("%g/s", p.Rate)},
		{Name: "stages", Value: p.Stages.String()},
		{Name: "think time", Value: fmt.Sprint(p.Think)},
		{Name: "client", Value: p.Client},
		{Name: "mix", Value: p.Mix.String()},
	}
	if !p.open() {
		fields = append(fields, report.Field{Name: "ramp-up", Value: fmt.Sprint(p.RampUp)})
	}
	if p.ShareConnections {
		fields = append(fields, report.Field{Name: "connections", Value: "shared by all users"})
	}
	unset := func(f report.Field) bool {
		return f.Value == "" || f.Value == "0" || f.Value == "0s" || f.Value == "0/s"
	}
	return slices.DeleteFunc(fields, unset)
}
