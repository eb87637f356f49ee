package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// page is what the page of a replicator shows.
func (s *system) page(address string) (r opspage.Report) {
	s.t.Helper()
	response, err := http.Get("http://" + address + "/ops/state")
	s.must(err)
	defer response.Body.Close()
	s.must(json.NewDecoder(response.Body).Decode(&r))
	return r
}

func told(r opspage.Report, text string) bool {
	return slices.ContainsFunc(r.Events, func(e opspage.Event) bool { return strings.Contains(e.Text, text) })
}

// A replicator that waits has a page, too, which says that another one works, and where Redis is.
func TestAWaitingReplicatorsPageSaysThatAnotherWorks_P9(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.reached()
	second := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	s.replicate("LISTEN_ADDR=" + second)
	testenv.Eventually(t, patience, "the second one waits", func() bool {
		r := s.page(second)
		return r.Waits && strings.HasPrefix(r.Verdict.Text, "Another replicator works; this one waits to take over. Redis is ") &&
			told(r, "Another replicator works.")
	})
	s.Kill(t)
	testenv.Eventually(t, patience, "the second one works", func() bool {
		r := s.page(second)
		return !r.Waits && strings.HasPrefix(r.Verdict.Text, "Redis follows the primary") && told(r, "Following the primary from ")
	})
}

// Who asks by a name that another site may have gets neither the page nor a rebuild, although it comes from this machine.
func TestAForeignNameGetsNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.reached()
	before := s.report().Rebuilds
	for path, method := range map[string]string{"/ops": http.MethodGet, "/ops/feed": http.MethodGet, "/v1/rebuild": http.MethodPost, "/v1/repair": http.MethodPost} {
		request, err := http.NewRequest(method, strings.Replace(s.status, "/v1/status", path, 1), nil)
		s.must(err)
		request.Host = "rebound.example.com"
		response, err := http.DefaultClient.Do(request)
		s.must(err)
		s.must(response.Body.Close())
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s: %s", method, path, response.Status)
		}
	}
	if now := s.report().Rebuilds; now != before {
		t.Errorf("%d rebuilds, before there were %d", now, before)
	}
}
