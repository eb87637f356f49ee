package test

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// readers read through query and keep every answer.
type readers struct {
	url     string
	metrics string // URL
	client  *http.Client
	paths   []string // the paths that are forced in turn; "" leaves the choice to query
	stop    func()

	mu      sync.Mutex
	answers []*answer
	missing []*answer // 404
	refused map[string]int
	primary func() string // URL
}

// readEvery is the pause between two reads of a reader.
const readEvery = 24 * time.Millisecond

// startReaders starts query and n readers.
func (s *system) startReaders(n int, paths []string, environment ...string) *readers {
	s.t.Helper()
	public, admin := testenv.FreePort(s.t), testenv.FreePort(s.t)
	env := []string{fmt.Sprintf("LISTEN_ADDR=127.0.0.1:%d", public), fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", admin),
		"REDIS_URL=" + s.server.URL(), "ALLOW_READ_PATH=true", "LOG_LEVEL=error", testenv.Unlimited}
	for _, name := range []string{"PRIMARY_URL=", "REPLICA_URL=", "STANDBY_URL="} {
		env = append(env, name+s.dbs.URL("query"))
	}
	testenv.StartProcess(s.t, testenv.Process{Path: testenv.Binary(s.t, "./query"), Env: append(env, environment...),
		Ready: fmt.Sprintf("http://127.0.0.1:%d/readyz", admin)})
	r := &readers{url: fmt.Sprintf("http://127.0.0.1:%d", public), metrics: fmt.Sprintf("http://127.0.0.1:%d/metrics", admin), paths: paths, primary: func() string { return s.dbs.URL("postgres") }, refused: map[string]int{},
		client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: n}}}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	t := s.t // a history's t is another one
	for i := range n {
		done.Go(func() { r.run(ctx, t, rand.New(rand.NewPCG(uint64(i), 1))) })
	}
	r.stop = func() { cancel(); done.Wait() }
	s.t.Cleanup(r.stop)
	return r
}

// run is one reader. Half of its reads ask for the position that it saw last; the others ask for none.
func (r *readers) run(ctx context.Context, t testing.TB, random *rand.Rand) {
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	flushed := &sampler{url: r.primary}
	defer flushed.close()
	var last lsn.Position
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		a := &answer{body: anyBody(random), forced: r.paths[random.IntN(len(r.paths))]}
		if random.IntN(2) == 0 {
			a.min = last
		}
		if err := r.read(ctx, a, flushed); err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
		switch {
		case a.status == http.StatusOK:
			last = a.at
		case a.status != http.StatusServiceUnavailable:
			last = lsn.Position{} // the position was lost
		}
	}
}

func anyBody(random *rand.Rand) (b body) {
	l := list{1 + random.Int64N(raffles), sizes[random.IntN(len(sizes))]}
	switch random.IntN(10) {
	case 0:
		return body{}
	case 1:
		return body{detail: l.raffle}
	case 2:
		return body{list: list{size: l.size}}
	}
	return body{list: l, highest: random.IntN(2) == 0}
}

// read reads once and keeps the answer. It fails if query answers what it never may.
func (r *readers) read(ctx context.Context, a *answer, flushed *sampler) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+a.body.path(), nil)
	if err != nil {
		return err
	}
	if a.forced != "" {
		request.Header.Set("Read-Path", a.forced)
	}
	if a.min != (lsn.Position{}) {
		request.Header.Set("Min-LSN", a.min.String())
	}
	a.began = time.Now()
	response, err := r.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if a.text, err = io.ReadAll(response.Body); err != nil {
		return err
	}
	a.ended, a.status, a.path = time.Now(), response.StatusCode, response.Header.Get("Read-Path")
	if a.status == http.StatusOK {
		a.at, err = lsn.ParsePosition(response.Header.Get("Read-LSN"))
		a.upTo = flushed.upTo(ctx, a)
	}
	r.keep(a)
	switch a.status {
	case http.StatusOK, http.StatusNotFound, http.StatusServiceUnavailable:
		return err
	case http.StatusConflict, http.StatusUnprocessableEntity: // the position is of a lost history
		if a.min != (lsn.Position{}) {
			return err
		}
	}
	return fmt.Errorf("%s: %d %s", a, a.status, a.text)
}

func (r *readers) keep(a *answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch a.status {
	case http.StatusOK:
		r.answers = append(r.answers, a)
	case http.StatusNotFound:
		r.missing = append(r.missing, a)
	default:
		r.refused[a.forced]++
	}
}

// reasons returns how often each path has not answered so far, by path and reason, from query's metrics.
func (r *readers) reasons() (map[string]int, error) {
	response, err := r.client.Get(r.metrics)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	reasons := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var path, result string
		var n float64
		if labels, ok := strings.CutPrefix(line, "query_path_duration_seconds_count{path="); ok {
			if _, err := fmt.Sscanf(labels, "%q,result=%q} %g", &path, &result, &n); err == nil && result != "answered" {
				reasons[path+" "+result] = int(n)
			}
		}
	}
	return reasons, err
}

// take returns the answers so far and forgets them.
func (r *readers) take() (answers, missing []*answer, refused map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	answers, missing, refused = r.answers, r.missing, r.refused
	r.answers, r.missing, r.refused = nil, nil, map[string]int{}
	return answers, missing, refused
}

// sampler asks the primary how far its log is flushed.
type sampler struct {
	url  func() string
	conn *pgx.Conn
}

// sampleTime is how long the sampler waits for a primary that may be frozen.
const sampleTime = 200 * time.Millisecond

// upTo returns a position after which the answer can hold nothing: the answer's own if it is exact, otherwise what the
// primary has flushed now. The position is unknown if the primary does not answer or has another timeline.
func (s *sampler) upTo(ctx context.Context, a *answer) lsn.LSN {
	if a.exact() {
		return a.at.LSN
	}
	ctx, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	at, err := s.ask(ctx)
	if err != nil {
		s.close()
		return math.MaxUint64
	}
	if a.at.Timeline != 0 && a.at.Timeline != at.Timeline || at.LSN < a.at.LSN {
		return math.MaxUint64
	}
	return at.LSN
}

func (s *sampler) ask(ctx context.Context) (at lsn.Position, err error) {
	if s.conn == nil {
		if s.conn, err = pgx.Connect(ctx, s.url()); err != nil {
			return at, err
		}
	}
	var text string
	err = s.conn.QueryRow(ctx, `SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int || '-' || pg_current_wal_flush_lsn()`).Scan(&text)
	if err != nil {
		return at, err
	}
	return lsn.ParsePosition(text)
}

func (s *sampler) close() {
	if s.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), sampleTime)
		defer cancel()
		s.conn.Close(ctx)
		s.conn = nil
	}
}
