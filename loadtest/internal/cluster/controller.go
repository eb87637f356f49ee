package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// maxOffset is the difference of clocks from which on times of different agents should not be compared.
const maxOffset = 50 * time.Millisecond

// Controller spreads a job over agents.
type Controller struct {
	agents []string
	token  Token
	dir    string
	notes  io.Writer
	timing timing
	client *http.Client
}

// NewController returns a controller of the agents at these addresses (host:port). The agents' files are
// put into dir.
func NewController(agents []string, token Token, dir string, notes io.Writer) *Controller {
	return &Controller{agents: agents, token: token, dir: dir, notes: notes,
		timing: defaultTiming(), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}}
}

// Run gives each agent its share of the job, starts all at one moment, and returns their merged result and the
// files that they left. When ctx ends the agents are stopped, and the result covers the load up to then. An
// agent that is lost makes the result invalid and ends the load of the others. An error is returned if the load
// never began or left no result. progress is called once a second with the progress of all agents together.
func (c *Controller) Run(ctx context.Context, job Job, progress func(report.Progress)) (*report.Run, []string, error) {
	defer c.client.CloseIdleConnections()
	members, err := c.assign(ctx, job)
	if err != nil {
		return nil, nil, err
	}
	g := newGroup(ctx, members, c.timing)
	defer g.close()
	ctx = context.WithoutCancel(ctx)
	if err := g.prepare(ctx); err != nil {
		return nil, nil, err
	}
	g.run(ctx, progress)
	return c.collect(ctx, g)
}

// assign hands out the shares, and takes them back if one agent refuses.
func (c *Controller) assign(ctx context.Context, job Job) ([]*member, error) {
	shares, err := Split(job.Share.Users, job.Share.Rate, len(c.agents))
	if err != nil {
		return nil, err
	}
	var members []*member
	for i, addr := range c.agents {
		m := &member{addr: addr, token: c.token, client: c.client, job: job}
		m.job.Share = shares[i]
		uncertain, err := m.measureClock(ctx)
		if err == nil {
			c.warnClock(m, uncertain)
			err = m.call(ctx, http.MethodPost, "/v1/jobs", m.job, nil)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("agent %s: %w", addr, err), dismiss(ctx, members))
		}
		members = append(members, m)
	}
	return members, nil
}

func (c *Controller) warnClock(m *member, uncertain time.Duration) {
	if off := max(m.offset, -m.offset) - uncertain; off > maxOffset {
		fmt.Fprintf(c.notes, "WARNING: the clock of agent %s differs by %.0f ms; the common start allows for it, times in its logs do not\n",
			m.addr, m.offset.Seconds()*1e3)
	}
}

// dismiss stops agents that have a job which has not begun.
func dismiss(ctx context.Context, members []*member) (err error) {
	for _, m := range members {
		if stopped := m.call(context.WithoutCancel(ctx), http.MethodDelete, m.path(""), nil, nil); stopped != nil {
			err = errors.Join(err, fmt.Errorf("agent %s: stop: %w", m.addr, stopped))
		}
	}
	return err
}

// share is what one agent left.
type share struct {
	member *member
	run    *report.Run
	files  []string
	err    error // why it left nothing
}

// collect fetches and merges the results and the files of the agents that are left.
func (c *Controller) collect(ctx context.Context, g *group) (*report.Run, []string, error) {
	shares := make([]share, len(g.members))
	var wg sync.WaitGroup
	for i, m := range g.members {
		s := &shares[i]
		s.member, s.err = m, g.errs[i]
		if s.err == nil {
			wg.Go(func() { s.run, s.files, s.err = c.takeIn(ctx, m, g.last[i].Files) })
		}
	}
	wg.Wait()
	return merge(shares)
}

func merge(shares []share) (*report.Run, []string, error) {
	var (
		parts   []*report.Run
		files   []string
		agents  []report.Agent
		invalid []string
	)
	for _, s := range shares {
		if s.err != nil {
			invalid = append(invalid, fmt.Sprintf("agent %s: %v", s.member.addr, s.err))
			continue
		}
		all := s.run.All()
		agents = append(agents, report.Agent{Name: s.member.addr, ClockOffset: s.member.offset, OK: all.OK, Failed: all.Failed, CPU: s.run.Generator.CPU})
		parts, files = append(parts, s.run), append(files, s.files...)
	}
	if len(parts) == 0 {
		return nil, nil, fmt.Errorf("no agent left a result: %s", strings.Join(invalid, "; "))
	}
	run, err := report.Merge(parts)
	if err != nil {
		return nil, files, err
	}
	run.Agents = agents
	run.Verdict.Invalid = append(run.Verdict.Invalid, invalid...)
	return run, files, nil
}

// takeIn gets one agent's result, in terms of the whole run, and its files.
func (c *Controller) takeIn(ctx context.Context, m *member, names []string) (*report.Run, []string, error) {
	run, err := m.fetch(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("result: %w", err)
	}
	run.Started = run.Started.Add(-m.offset)
	for i := range run.CPU {
		if run.CPU[i].Name == report.GeneratorProcess {
			run.CPU[i].Name += " " + m.addr
		}
	}
	for _, list := range [][]string{run.Verdict.Failed, run.Verdict.Invalid} {
		for i := range list {
			list[i] = "agent " + m.addr + ": " + list[i]
		}
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, nil, err
	}
	var files []string
	for _, name := range names {
		to := filepath.Join(c.dir, fmt.Sprintf("%s-%s-from-%d", filepath.Base(name), m.job.ID, m.job.Share.Agent))
		if err := m.download(ctx, name, to); err != nil {
			return nil, files, fmt.Errorf("file %s: %w", name, err)
		}
		files = append(files, to)
	}
	if err := m.call(ctx, http.MethodDelete, m.path(""), nil, nil); err != nil {
		fmt.Fprintf(c.notes, "agent %s keeps its files: %v\n", m.addr, err)
	}
	return run, files, nil
}
