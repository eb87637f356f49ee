package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/ops"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// command runs a subcommand as a process and returns its exit status and output.
func (s *system) command(args ...string) (status int, output string) {
	s.t.Helper()
	address := strings.TrimSuffix(strings.TrimPrefix(s.status, "http://"), "/v1/status")
	p := testenv.StartProcess(s.t, testenv.Process{Path: testenv.Binary(s.t, "./replicator"), Args: args, Env: []string{
		"LISTEN_ADDR=" + address, "PRIMARY_URL=" + s.dbs.URL("replicator"), "REDIS_URL=" + s.server.URL(),
	}})
	return p.Wait(s.t), p.Output()
}

// expect fails unless a subcommand ends with the status and its output has all texts.
func (s *system) expect(args string, status int, texts ...string) {
	s.t.Helper()
	got, output := s.command(strings.Fields(args)...)
	if got != status {
		s.t.Errorf("replicator %s: exit status %d, want %d\n%s", args, got, status, output)
	}
	for _, text := range texts {
		if !strings.Contains(output, text) {
			s.t.Errorf("replicator %s does not say %q:\n%s", args, text, output)
		}
	}
}

func TestCommandsStatusAndVerify(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(2000)
	testenv.Eventually(t, patience, "the first copy", s.streaming)
	e := s.reached().Epoch
	s.expect("status", 0, "streaming", fmt.Sprintf("epoch %d", e), "holds", "verified")
	_, output := s.command("status", "--json")
	var st ops.Status
	if err := json.Unmarshal([]byte(output), &st); err != nil || st.State != status.Streaming || st.Verify == nil {
		t.Errorf("%v: %s", err, output)
	}
	s.expect("verify", 0, "all are as the primary has them", "against 2,000 bids")

	s.must(s.redis.ZRemRangeByRank(s.ctx, e.Newest(3, 270), 0, 1).Err())
	s.expect("verify", 1, e.Newest(3, 270)+"  2 missing", "1 differ")
	s.expect("verify --raffle 4", 0, "all are")
	s.expect("verify --raffle 3 --rate 100000 --repair", 0, "1 differ, 1 repaired")
	s.expect("verify", 0, "all are")

	s.Stop(t)
	s.expect("status", 1, "no replicator answers", "replicator run")
	s.bids(1)
	s.expect("verify", 2, "the replicator is behind or does not run")
	s.must(s.redis.FlushAll(s.ctx).Err())
	s.expect("verify", 2, "no checkpoint")
	s.server.Kill(t)
	s.expect("verify", 2, "could not compare")
}

func TestCommandsRebuildServesTheOldEpochMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(20_000)
	testenv.Eventually(t, patience, "the first copy", s.streaming)
	before := s.reached()
	unserved := make(chan bool)
	done := make(chan struct{})
	go func() {
		missing := false
		for {
			select {
			case <-done:
				unserved <- missing
				return
			default:
				_, err := s.checkpoint()
				missing = missing || err != nil
			}
		}
	}()
	s.expect("rebuild", 0, "is served in place of")
	close(done)
	if <-unserved {
		t.Error("there was no checkpoint for a while")
	}
	if after := s.reached(); after.Epoch <= before.Epoch {
		t.Errorf("%s after %s", after, before)
	}
	s.because(status.Requested)
	s.equal()
	if st := s.report(); st.Rebuilds != 2 || st.LastError != "" {
		t.Errorf("%+v", st)
	}
	// The first time was at the start of the replicator. The old file holds both epochs.
	testenv.Eventually(t, patience, "Redis writes a new append-only file", func() bool {
		info, err := redisinfo.Read(s.ctx, s.redis)
		return err == nil && info["aof_rewrites"] == "2"
	})
}

func TestCommandsRebuildIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.reached()
	request, err := http.NewRequest(http.MethodPost, strings.Replace(s.status, "status", "rebuild", 1), nil)
	s.must(err)
	request.Header.Set("Origin", "http://example.com")
	response, err := http.DefaultClient.Do(request)
	s.must(err)
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another site may rebuild: %s", response.Status)
	}
	s.Program = nil
	s.replicate()
	testenv.Eventually(t, patience, "the second waits", func() bool { return s.report().State == status.Waiting })
	s.expect("rebuild", 1, "409", "it is waiting")
	s.expect("status", 0, "waiting", "another replicator works", "epoch")
}

func TestCommandsRebuildSaysWhatFailed(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(100)
	testenv.Eventually(t, patience, "the first copy", s.streaming)
	s.exec("ALTER TABLE products RENAME model TO modell")
	s.expect("rebuild", 1, "the rebuild failed", "has no column model")
	s.exec("ALTER TABLE products RENAME modell TO model")
	s.equal()
}
