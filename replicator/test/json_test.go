package test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// answer runs a subcommand with --json and returns the object that it prints; progress and errors on standard error are
// left out.
func (s *system) answer(want int, args string) (object map[string]any) {
	s.t.Helper()
	status, output := s.command(append(strings.Fields(args), "--json")...)
	begin, end := strings.Index(output, "{\n"), strings.LastIndex(output, "\n}")
	if status != want || begin < 0 || end < begin {
		s.t.Fatalf("replicator %s --json: exit status %d, want %d\n%s", args, status, want, output)
	}
	s.must(json.Unmarshal([]byte(output[begin:end+2]), &object))
	return object
}

func TestEverySubcommandAnswersInJSON(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(500)
	e := s.equal().Epoch
	if got := s.answer(0, "reload --raffle 3"); got["part"] != "raffle 3" || got["seconds"] == 0.0 {
		t.Errorf("reload: %v", got)
	}
	if got := s.answer(0, "verify"); got["divergent_keys"] != 0.0 || got["rows"] != 500.0 || got["epoch"] != float64(e) {
		t.Errorf("verify: %v", got)
	}
	s.must(s.redis.Del(s.ctx, e.Newest(3, 270)).Err())
	if got := s.answer(1, "verify"); got["divergent_keys"] != 1.0 || len(got["findings"].([]any)) != 1 {
		t.Errorf("verify: %v", got)
	}
	if got := s.answer(0, "rebuild"); got["before"] != float64(e) || got["epoch"].(float64) <= float64(e) {
		t.Errorf("rebuild: %v", got)
	}
	if got := s.answer(2, "reload --raffle -1"); !strings.Contains(got["error"].(string), "exactly one of") {
		t.Errorf("reload: %v", got)
	}
	s.Stop(t)
	for args, status := range map[string]int{"status": 1, "rebuild": 1, "verify": 2} {
		if got := s.answer(status, args); got["error"] == nil {
			t.Errorf("%s without a replicator: %v", args, got)
		}
	}
	if got := s.answer(0, "drop"); len(got["slots"].([]any)) != 1 {
		t.Errorf("drop: %v", got)
	}
}
