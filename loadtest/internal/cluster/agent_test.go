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
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

func TestAgentStopsWhenItsControllerIsGone(t *testing.T) {
	var working atomic.Int64
	a, addr := serveAgent(t, waiting(0, &working))
	m := &member{addr: addr, client: newController(t).client, job: job(1)}
	if err := m.call(t.Context(), "POST", "/v1/jobs", m.job, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.call(t.Context(), "POST", m.path("/start"), startOrder{time.Now()}, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-a.task().done:
	case <-time.After(10 * time.Second):
		t.Fatal("the agent goes on without its controller")
	}
	o, ok := a.task().result()
	if !ok || !strings.Contains(fmt.Sprint(o.Run.Verdict.Failed), "controller") {
		t.Errorf("%+v", o.Run)
	}
}

func TestAgentDoesOneJobAtATime(t *testing.T) {
	var working atomic.Int64
	_, addr := serveAgent(t, waiting(time.Minute, &working))
	m := &member{addr: addr, client: newController(t).client, job: job(1)}
	if err := m.call(t.Context(), "POST", "/v1/jobs", m.job, nil); err != nil {
		t.Fatal(err)
	}
	var refused refusal
	if _, _, err := newController(t, addr).Run(t.Context(), job(1), nil); !errors.As(err, &refused) || refused.code != 409 {
		t.Errorf("a second job: %v", err)
	}
}

func TestAgentRefusesWhatItMightMisread(t *testing.T) {
	var working atomic.Int64
	_, addr := serveAgent(t, waiting(time.Minute, &working))
	m := &member{addr: addr, client: newController(t).client}
	for _, body := range []string{`{"id":"test","share":{"users":1,"more":1}}`, `{"id":"test","more":1}`, `{"id":7}`, `[]`} {
		var refused refusal
		if err := m.call(t.Context(), http.MethodPost, "/v1/jobs", json.RawMessage(body), nil); !errors.As(err, &refused) || refused.code != 400 {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, id := range []string{"", ".", "../x", "a/b", "a b", "a-b", "A", "é", "a\n", strings.Repeat("a", 33)} {
		var refused refusal
		m.job = job(1)
		m.job.ID = id
		if err := m.call(t.Context(), http.MethodPost, "/v1/jobs", m.job, nil); !errors.As(err, &refused) || refused.code != 400 {
			t.Errorf("id %q: %v", id, err)
		}
	}
	var p plan
	if err := (Job{Plan: []byte(`{"iterations":1,"more":2}`)}).DecodePlan(&p); err == nil || !strings.Contains(err.Error(), `plan: json: unknown field "more"`) {
		t.Errorf("a plan of another build: %v", err)
	}
	m.job.ID = strings.Repeat("z9", 16)
	if err := m.call(t.Context(), http.MethodPost, "/v1/jobs", m.job, nil); err != nil {
		t.Errorf("a job like any other: %v", err)
	}
}

func TestAgentOfAnotherBuildIsRefused(t *testing.T) {
	_, addr := serveAgent(t, runnerFunc(calculated))
	own, err := ownBuild()
	if err != nil || own == "" {
		t.Fatalf("%q, %v", own, err)
	}
	for _, theirs := range []string{"", "commit 0123", own + "x"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+addr+"/v1/jobs", strings.NewReader(`{"id":"test"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(buildHeader, theirs)
		resp, err := newController(t).client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusConflict || !strings.Contains(string(text), "this agent is "+own+", its controller "+theirs+":") {
			t.Errorf("%q: status %d, %s", theirs, resp.StatusCode, text)
		}
	}
}

// leavesFile leaves 1 MB in the file.
func leavesFile(name string) runnerFunc {
	return func(ctx context.Context, j Job, p func(report.Progress)) (Outcome, error) {
		o, err := calculated(ctx, j, p)
		o.Files = map[string]string{"journal": name}
		return o, errors.Join(err, os.WriteFile(name, bytes.Repeat([]byte("key "), 1<<18), 0o600))
	}
}

func TestFilesComeToTheControllerAndLeaveTheAgent(t *testing.T) {
	dir := t.TempDir()
	_, addr := serveAgent(t, leavesFile(filepath.Join(dir, "journal")))
	_, files := mustRun(t, newController(t, addr), job(1))
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	if raw, err := os.ReadFile(files[0]); err != nil || len(raw) != 1<<20 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left at the agent: %v, %v", left, err)
	}
}
