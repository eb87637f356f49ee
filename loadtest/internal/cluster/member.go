package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const (
	callTime   = 2 * time.Second
	resultTime = time.Minute
	fileTime   = 10 * time.Minute
	probes     = 8
)

// member is an agent as its controller sees it.
type member struct {
	addr      string
	client    *http.Client
	job       Job
	offset    time.Duration // its clock minus ours
	uncertain time.Duration // by how much the offset may be wrong
}

// refusal is an answer that is not a success.
type refusal struct {
	code int
	text string
}

func (r refusal) Error() string { return fmt.Sprintf("status %d: %s", r.code, r.text) }

// call sends a request; in and out are JSON bodies, nil for none.
func (m *member) call(ctx context.Context, method, path string, in, out any) error {
	var content []byte
	if in != nil {
		var err error
		if content, err = json.Marshal(in); err != nil {
			return err
		}
	}
	return m.ask(ctx, callTime, method, path, content, func(body io.Reader) error {
		if out == nil {
			return nil
		}
		return json.NewDecoder(body).Decode(out)
	})
}

// ask sends a request, and has the body of a successful answer read, both within the limit.
func (m *member) ask(ctx context.Context, limit time.Duration, method, path string, content []byte, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	build, err := ownBuild()
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "https://"+m.addr+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	r.Header.Set(buildHeader, build)
	resp, err := m.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // the status says enough
		return refusal{resp.StatusCode, strings.TrimSpace(string(text))}
	}
	return read(resp.Body)
}

func (m *member) path(suffix string) string { return "/v1/jobs/" + m.job.ID + suffix }

// measureClock sets the offset of the agent's clock. Of several readings the reading with the shortest round
// trip counts, and it is taken to be made in the middle of that trip (Cristian 1989); it is uncertain by half
// that round trip.
func (m *member) measureClock(ctx context.Context) error {
	best := time.Duration(-1)
	for range probes {
		before := time.Now()
		var r reading
		if err := m.call(ctx, http.MethodGet, "/v1/clock", nil, &r); err != nil {
			return err
		}
		if trip := time.Since(before); best < 0 || trip < best {
			best, m.offset = trip, r.Now.Sub(before.Add(trip/2))
		}
	}
	m.uncertain = best / 2
	return nil
}

// judgeStart compares the start of the agent's load, by its clock, with the moment that was ordered, by ours.
func (m *member) judgeStart(started, due time.Time) report.Condition {
	off := started.Add(-m.offset).Sub(due)
	return report.Condition{
		Name:  "start of agent " + m.addr,
		Limit: fmt.Sprintf("within %d ms of the common start", maxOffset.Milliseconds()),
		Got:   fmt.Sprintf("%+.1f ms, uncertain by %.1f ms", off.Seconds()*1e3, m.uncertain.Seconds()*1e3),
		OK:    off.Abs()-m.uncertain <= maxOffset,
	}
}

// errLost says that an agent has gone.
var errLost = errors.New("lost")

// follow asks for the job's status until reached says that it is far enough. When stop is closed the agent
// is told to stop, and followed on until it has. An agent that does not answer for t.patience, or does not
// know the job, is lost.
func (m *member) follow(ctx context.Context, stop <-chan struct{}, t timing, see func(status), reached func(State) bool) (status, error) {
	tick := time.NewTicker(t.poll)
	defer tick.Stop()
	seen := time.Now()
	var deadline time.Time
	for {
		select {
		case <-stop:
			stop, deadline = nil, time.Now().Add(t.grace)
			if err := m.call(ctx, http.MethodDelete, m.path(""), nil, nil); err != nil {
				return status{}, fmt.Errorf("%w: could not be told to stop: %w", errLost, err)
			}
		case <-tick.C:
		}
		var s status
		err := m.call(ctx, http.MethodGet, m.path(""), nil, &s)
		var refused refusal
		switch {
		case errors.As(err, &refused):
			return s, fmt.Errorf("%w: %w", errLost, err)
		case err != nil && time.Since(seen) > t.patience:
			return s, fmt.Errorf("%w: no answer for %.0f s: %w", errLost, time.Since(seen).Seconds(), err)
		case err != nil:
			continue
		}
		seen = time.Now()
		see(s)
		if reached(s.State) || s.State.ended() {
			return s, nil
		}
		if !deadline.IsZero() && time.Now().After(deadline) {
			return s, fmt.Errorf("%w: still at work %v after it was told to stop", errLost, t.grace)
		}
	}
}

// fetch takes the result of a job that is done.
func (m *member) fetch(ctx context.Context) (run *report.Run, err error) {
	err = m.ask(ctx, resultTime, http.MethodGet, m.path("/result"), nil, func(body io.Reader) (err error) {
		run, err = report.ReadJSON(body)
		return err
	})
	return run, err
}

// download copies one of the job's files.
func (m *member) download(ctx context.Context, name, to string) error {
	return m.ask(ctx, fileTime, http.MethodGet, m.path("/files/"+name), nil, func(body io.Reader) error {
		file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, body)
		return errors.Join(err, file.Close())
	})
}
