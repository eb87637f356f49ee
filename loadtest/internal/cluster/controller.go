package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// maxOffset is the difference of clocks, or of starts, from which on times of different agents should not be compared.
const maxOffset = 50 * time.Millisecond

// Controller spreads a job over agents.
type Controller struct {
	agents []string
	dir    string
	notes  io.Writer
	timing timing
	client *http.Client
}

// NewController returns a controller of the agents at these addresses (host:port). The channel is that of
// ReadChannel. The agents' files are put into dir.
func NewController(agents []string, channel *tls.Config, dir string, notes io.Writer) *Controller {
	return &Controller{agents: agents, dir: dir, notes: notes, timing: defaultTiming(),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4, TLSClientConfig: channel}}}
}

// Run gives each agent its share of the job, starts all at one moment, and returns their merged result and the
// files that they left. When ctx ends the agents are stopped, and the result covers the load up to then. An
// agent that is lost makes the result invalid and ends the load of the others; an agent that began at another
// moment makes the result invalid. An error is returned if the load never began or left no result. progress is
// called once or twice a second with the progress of all agents together.
func (c *Controller) Run(ctx context.Context, job Job, progress func(report.Progress)) (*report.Run, []string, error) {
	defer c.client.CloseIdleConnections()
	shares, err := Split(job.Share.Users, len(c.agents))
	if err != nil {
		return nil, nil, err
	}
	members := make([]*member, len(c.agents))
	for i, addr := range c.agents {
		members[i] = &member{addr: addr, client: c.client, job: job}
		members[i].job.Share = shares[i]
	}
	g := newGroup(ctx, members, c.timing, progress)
	defer g.stopAll()
	if err := c.assign(ctx, g); err != nil {
		return nil, nil, err
	}
	ctx = context.WithoutCancel(ctx)
	if err := g.prepare(ctx, job.Prepared); err != nil {
		return nil, nil, err
	}
	g.run(ctx)
	return c.collect(ctx, g)
}

// assign hands out the shares, and takes them back if one agent refuses. It looks at the clocks before, because an
// agent that has a job stops by itself unless the controller soon asks for it.
func (c *Controller) assign(ctx context.Context, g *group) error {
	if err := g.each(func(_ int, m *member) error { return m.measureClock(ctx) }); err != nil {
		return err
	}
	for _, m := range g.members {
		if m.offset.Abs()-m.uncertain > maxOffset {
			fmt.Fprintf(c.notes, "WARNING: the clock of agent %s differs by %.0f ms; the common start allows for it, times in its logs do not\n",
				m.addr, m.offset.Seconds()*1e3)
		}
	}
	if err := g.each(func(_ int, m *member) error { return m.call(ctx, http.MethodPost, "/v1/jobs", m.job, nil) }); err != nil {
		return g.dismiss(ctx, err)
	}
	return nil
}

// share is what one agent left.
type share struct {
	run   *report.Run
	start report.Condition
	files []string
}

// collect fetches and merges the results and the files of the agents that are left. What the processes have used, and
// the cores, are those of the controller's machine.
func (c *Controller) collect(ctx context.Context, g *group) (*report.Run, []string, error) {
	shares := make([]share, len(g.members))
	failed := g.each(func(i int, m *member) error { return c.takeIn(ctx, m, g.start, g.last[i].Files, &shares[i]) })
	var (
		parts   []*report.Run
		files   []string
		agents  []report.Agent
		verdict report.Verdict
	)
	for i, m := range g.members {
		s := shares[i]
		if g.errs[i] != nil {
			verdict.Invalid = append(verdict.Invalid, g.errs[i].Error())
			continue
		}
		if verdict.Conditions = append(verdict.Conditions, s.start); !s.start.OK {
			verdict.Invalid = append(verdict.Invalid, fmt.Sprintf("%s: %s, not %s", s.start.Name, s.start.Got, s.start.Limit))
		}
		all := s.run.All()
		agents = append(agents, report.Agent{Name: m.addr, ClockOffset: m.offset, OK: all.OK, Failed: all.Failed, CPU: s.run.Generator.CPU})
		parts, files = append(parts, s.run), append(files, s.files...)
	}
	if len(parts) == 0 {
		return nil, nil, fmt.Errorf("no agent left a result: %w", failed)
	}
	run, err := report.Merge(parts)
	if err != nil {
		return nil, files, err
	}
	run.Agents, run.Cores, run.CPU = agents, runtime.NumCPU(), nil
	run.Verdict.Conditions = verdict.Conditions
	run.Verdict.Invalid = append(run.Verdict.Invalid, verdict.Invalid...)
	return run, files, nil
}

// takeIn gets one agent's result, in terms of the whole run, and its files.
func (c *Controller) takeIn(ctx context.Context, m *member, start time.Time, names []string, s *share) (err error) {
	if s.run, err = m.fetch(ctx); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	s.start = m.judgeStart(s.run.Started, start)
	s.run.Started = s.run.Started.Add(-m.offset)
	for _, list := range [][]string{s.run.Verdict.Failed, s.run.Verdict.Invalid} {
		for i := range list {
			list[i] = "agent " + m.addr + ": " + list[i]
		}
	}
	if s.run.Generator.Warning != "" {
		s.run.Generator.Warning = "agent " + m.addr + ": " + s.run.Generator.Warning
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		to := filepath.Join(c.dir, fmt.Sprintf("%s-%s-from-%d", filepath.Base(name), m.job.ID, m.job.Share.Agent))
		if err := m.download(ctx, name, to); err != nil {
			return fmt.Errorf("file %s: %w", name, err)
		}
		s.files = append(s.files, to)
	}
	if err := m.call(ctx, http.MethodDelete, m.path(""), nil, nil); err != nil {
		fmt.Fprintf(c.notes, "agent %s keeps its files: %v\n", m.addr, err)
	}
	return nil
}
