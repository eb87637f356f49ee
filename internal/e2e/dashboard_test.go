package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// dashboardPatience is how long the stack may take until each figure of the dashboard has been collected often enough.
const dashboardPatience = 2 * time.Minute

// Each query of the dashboard has an answer of a Prometheus that watches the stack as it is deployed, while the stack is used.
func TestTheDashboardShowsTheStack(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	_, front, stats := testenv.StartFrontDoor(t, testenv.FrontDoor{
		Command: []testenv.Instance{{Public: s.commandURL, Admin: s.commandAdmin}}, Query: []testenv.Instance{{Public: s.queryURL, Admin: s.queryAdmin}},
	})
	prometheus := s.watch(t, stats)
	pending := dashboardQueries(t)
	use := s.user(t, front)
	all, used, failed := len(pending), time.Time{}, error(nil)
	testenv.EventuallyNoError(t, dashboardPatience, "each query has data", func() error {
		if time.Since(used) > time.Second { // Prometheus asks every 5 s
			used, failed = time.Now(), use()
		}
		for expr := range pending {
			if err := answers(t.Context(), s.client, prometheus, expr); err == nil {
				delete(pending, expr)
			}
		}
		if len(pending) == 0 {
			return nil
		}
		lines := make([]string, 0, len(pending))
		for expr, panel := range pending {
			lines = append(lines, panel+": "+expr)
		}
		return errors.Join(failed, fmt.Errorf("%d of %d have none:\n%s", len(pending), all, strings.Join(lines, "\n")))
	})
}

// dashboardQueries are the queries of the dashboard, with the panels that they are of.
func dashboardQueries(t testing.TB) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/stock-pyramid.json")
	if err != nil {
		t.Fatal(err)
	}
	type panel struct {
		Title   string
		Panels  []panel
		Targets []struct{ Expr string }
	}
	var board struct{ Panels []panel }
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	queries := map[string]string{}
	var add func([]panel)
	add = func(list []panel) {
		for _, p := range list {
			add(p.Panels)
			for _, target := range p.Targets {
				queries[strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")] = p.Title
			}
		}
	}
	add(board.Panels)
	if len(queries) < 80 {
		t.Fatalf("only %d queries", len(queries))
	}
	return queries
}

// watch starts Prometheus and the exporters of both nodes and of the machine as they are deployed, and returns the URL of Prometheus.
func (s *stack) watch(t testing.TB, stats string) string {
	t.Helper()
	jobs := []deploy.Job{{Name: "postgres"}}
	for name, address := range map[string]string{"haproxy": stats, "command": s.commandAdmin, "query": s.queryAdmin, "replicator": s.replicatorAdmin, "host": startHostExporter(t)} {
		jobs = append(jobs, deploy.Job{Name: name, Targets: []deploy.Target{{Address: named(t, name, address).Address}}})
	}
	for name, node := range map[string]*testenv.Postgres{"node1": s.primary, "node2": s.standby} {
		jobs[0].Targets = append(jobs[0].Targets, deploy.Target{Address: deploy.Address{Port: startExporter(t, node)}, Node: name})
	}
	return startPrometheus(t, 0, jobs...)
}

// user returns a function that uses what the dashboard shows, and fails if the stack is busy: it logs in, bids, reads on every path, and follows a raffle that
// closes by time.
func (s *stack) user(t testing.TB, front string) (use func() error) {
	t.Helper()
	bidder, admin := s.session(t, "user1"), s.session(t, "admin")
	followAgain(t, bidder)
	if _, _, err := admin.OpenRaffle(t.Context(), client.NewRaffle{ProductID: 1, EndsAt: time.Now().Add(15 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	round := 0
	return func() error {
		round++
		bid, _, err := bidder.PlaceBid(t.Context(), openRaffle, client.NewBid{Size: 270, Price: int64(1000 + round)})
		if err == nil {
			_, err = bidder.CancelBid(t.Context(), openRaffle, bid.ID)
		}
		if err == nil {
			_, err = s.api(t).Login(t.Context(), "user2", "pyramid")
		}
		if err != nil {
			return err
		}
		s.must(t, http.StatusOK, "GET", front+"/hello", nil)
		for _, path := range []string{"redis", "replica", "standby", "primary"} {
			if _, err := s.do("GET", s.lookupURL(openRaffle, "size=270"), nil, "Read-Path", path); err != nil {
				return err
			}
		}
		return nil
	}
}

// followAgain follows a raffle for a while, again and again until the end of the test. A feed is counted at its end.
func followAgain(t testing.TB, bidder *client.Session) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	followed := make(chan struct{})
	t.Cleanup(func() { cancel(); <-followed })
	go func() {
		defer close(followed)
		for ctx.Err() == nil {
			aWhile, stop := context.WithTimeout(ctx, 3*time.Second)
			for _, err := range bidder.Follow(aWhile, openRaffle, client.FeedOptions{}) {
				if err != nil {
					break
				}
			}
			stop()
		}
	}()
}

// answers asks Prometheus and returns an error if no series has a number.
func answers(ctx context.Context, with *http.Client, prometheus, expr string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, prometheus+"/api/v1/query?query="+url.QueryEscape(expr), nil)
	if err != nil {
		return err
	}
	answer, err := with.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var result struct {
		Error string
		Data  struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&result); err != nil {
		return err
	}
	for _, series := range result.Data.Result {
		if value := fmt.Sprint(series.Value[1]); value != "NaN" {
			return nil
		}
	}
	return fmt.Errorf("%s has no data: %s", expr, result.Error)
}
