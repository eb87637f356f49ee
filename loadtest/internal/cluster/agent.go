package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"sync"
	"time"
)

const (
	maxJob       = 1 << 20 // bytes of a job
	shutdownTime = 5 * time.Second
	buildHeader  = "Loadtest-Build" // names the controller's program, see ownBuild
)

// jobID is the form of a job's id, which becomes part of file names.
var jobID = regexp.MustCompile(`^[a-z0-9]{1,32}$`)

// Agent makes the load that a controller asks for, one job at a time.
type Agent struct {
	runner  Runner
	channel *tls.Config
	notes   io.Writer
	timing  timing

	mu      sync.Mutex
	current *task
}

// NewAgent returns an agent. The channel is that of ReadChannel.
func NewAgent(runner Runner, channel *tls.Config, notes io.Writer) *Agent {
	return &Agent{runner: runner, channel: channel, notes: notes, timing: defaultTiming()}
}

// Serve answers the controller on the listener until ctx ends; a job at work then ends as well.
func (a *Agent) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: a.handler(ctx), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: log.New(a.notes, "agent: ", 0)}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(tls.NewListener(l, a.channel)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("agent: %w", err)
	case <-ctx.Done():
	}
	if t := a.task(); t != nil {
		<-t.done
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	return server.Shutdown(ctx)
}

func (a *Agent) handler(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/clock", func(w http.ResponseWriter, _ *http.Request) { answer(w, reading{time.Now()}) })
	mux.HandleFunc("POST /v1/jobs", func(w http.ResponseWriter, r *http.Request) { a.accept(ctx, w, r) })
	mux.HandleFunc("GET /v1/jobs/{id}", a.withTask(func(t *task, w http.ResponseWriter, _ *http.Request) { answer(w, t.look()) }))
	mux.HandleFunc("DELETE /v1/jobs/{id}", a.withTask(a.drop))
	mux.HandleFunc("POST /v1/jobs/{id}/start", a.withTask(start))
	mux.HandleFunc("GET /v1/jobs/{id}/result", a.withTask(sendResult))
	mux.HandleFunc("GET /v1/jobs/{id}/files/{name}", a.withTask(sendFile))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own, err := ownBuild()
		switch theirs := r.Header.Get(buildHeader); {
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		case theirs != own:
			http.Error(w, fmt.Sprintf("this agent is %s, its controller %s: build both from one commit, or copy one file to both", own, theirs), http.StatusConflict)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

func (a *Agent) task() *task {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}

func (a *Agent) withTask(serve func(*task, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t := a.task()
		if t == nil || t.job.ID != r.PathValue("id") {
			http.Error(w, "this agent does not know that job", http.StatusNotFound)
			return
		}
		serve(t, w, r)
	}
}

// accept takes a job unless another is at work. The job lives as long as the agent, not the request.
func (a *Agent) accept(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	var job Job
	if err := decode(http.MaxBytesReader(w, r.Body, maxJob), &job); err != nil {
		http.Error(w, "this is no job: "+err.Error(), http.StatusBadRequest)
		return
	}
	if !jobID.MatchString(job.ID) {
		http.Error(w, "the job's id is not of the form "+jobID.String(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current != nil && !a.current.look().State.ended() {
		http.Error(w, "another job is at work", http.StatusConflict)
		return
	}
	fmt.Fprintf(a.notes, "job %s: agent %d of %d, %d users\n", job.ID, job.Share.Agent+1, job.Share.Agents, job.Share.Users)
	a.current = launch(ctx, a.runner, job, a.timing.lease)
	w.WriteHeader(http.StatusAccepted)
}

// drop stops a job at work, and removes the files of one that has ended.
func (a *Agent) drop(t *task, w http.ResponseWriter, _ *http.Request) {
	if !t.look().State.ended() {
		t.cancel(errors.New("stopped by the controller"))
	} else if err := t.discard(); err != nil {
		fmt.Fprintf(a.notes, "job %s: %v\n", t.job.ID, err)
	}
	w.WriteHeader(http.StatusNoContent)
}

func start(t *task, w http.ResponseWriter, r *http.Request) {
	var order startOrder
	if err := decode(http.MaxBytesReader(w, r.Body, maxJob), &order); err != nil || order.At.IsZero() {
		http.Error(w, "this is no time to start", http.StatusBadRequest)
		return
	}
	select {
	case t.start <- order.At:
		w.WriteHeader(http.StatusNoContent)
	default:
		http.Error(w, "the job was started before", http.StatusConflict)
	}
}

func sendResult(t *task, w http.ResponseWriter, _ *http.Request) {
	o, ok := t.result()
	if !ok {
		http.Error(w, "there is no result", http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = o.Run.WriteJSON(w) // a broken connection is the controller's to notice
}

func sendFile(t *task, w http.ResponseWriter, r *http.Request) {
	o, _ := t.result()
	name, ok := o.Files[r.PathValue("name")]
	if !ok {
		http.Error(w, "there is no such file", http.StatusNotFound)
		return
	}
	http.ServeFile(w, r, name)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a broken connection is the controller's to notice
}
