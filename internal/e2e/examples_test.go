package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// exampleTime is how long one run of an example may take.
const exampleTime = time.Minute

// examples is how the example of each language is run.
func examples(modules string) map[string]func(testing.TB) []string {
	const folder = "../../examples/"
	return map[string]func(testing.TB) []string{
		"curl": func(testing.TB) []string { return []string{folder + "curl/bid.sh"} },
		"go":   func(t testing.TB) []string { return []string{testenv.Binary(t, "./examples/go")} },
		"python": func(t testing.TB) []string {
			return []string{testenv.Tool(t, "python3", "python3"), folder + "python/bid.py"}
		},
		"typescript": func(testing.TB) []string {
			return []string{filepath.Join(modules, ".bin/tsx"), folder + "typescript/bid.ts"}
		},
	}
}

// tryExamples runs each example in each situation. All runs are under way at once, because they mostly wait.
func tryExamples(t *testing.T, modules string, situations map[string]func(*testing.T, []string)) {
	var runs sync.WaitGroup
	defer runs.Wait()
	for language, command := range examples(modules) {
		for situation, hold := range situations {
			runs.Go(func() {
				t.Run(language+" "+situation, func(t *testing.T) { hold(t, command(t)) })
			})
		}
	}
}

// tryFailingExamples runs the examples before a front door that refuses everything, and without a front door.
func tryFailingExamples(t *testing.T, modules string) {
	tryExamples(t, modules, map[string]func(*testing.T, []string){"refused": holdExampleRefused, "alone": holdExampleAlone})
}

// tryBiddingExamples runs the examples before a front door that loses an answer and refuses once.
func (s *stack) tryBiddingExamples(t *testing.T, front, modules string) {
	tryExamples(t, modules, map[string]func(*testing.T, []string){"bids": func(t *testing.T, example []string) { s.holdExampleBids(t, front, example) }})
}

var lastLine = regexp.MustCompile(`^done: bid (\d+) of raffle (\d+) was placed once, seen and cancelled$`)

// holdExampleBids holds an example to one bid, although the first answer is lost and the second one is a refusal.
func (s *stack) holdExampleBids(t *testing.T, front string, example []string) {
	door := startFaultyDoor(t, front)
	out, errs, status := runExample(t, door.url, example)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	end := lastLine.FindStringSubmatch(lines[len(lines)-1])
	if status != 0 || end == nil {
		t.Fatalf("exit status %d:\n%s%s", status, out, errs)
	}
	s.holdToOneCancelled(t, end[2], end[1])
	door.mu.Lock()
	defer door.mu.Unlock()
	if k := door.keys; len(k) != 3 || k[0] == "" || k[1] != k[0] || k[2] != k[0] {
		t.Errorf("bids with the keys %q, want one key three times", k)
	}
	if door.lost != http.StatusCreated {
		t.Errorf("the answer that was lost has status %d", door.lost)
	}
	if door.waited < 1900*time.Millisecond { // curl waits a second by itself
		t.Errorf("back after %v, against Retry-After: 2", door.waited)
	}
	if m := slices.Compact(door.minimums); door.commit == "" || !slices.Equal(m, []string{door.commit}) {
		t.Errorf("lists of bids with Min-LSN %q, want %q", m, door.commit)
	}
}

// holdToOneCancelled looks into the database for the bids of the bid's user.
func (s *stack) holdToOneCancelled(t *testing.T, raffle, bid string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.primary.URL("migrator"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	var cancelled, left int
	err = c.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM cancelled_bids c WHERE c.user_id = u.user_id), (SELECT count(*) FROM bids b WHERE b.user_id = u.user_id)
		FROM cancelled_bids u WHERE u.raffle_id = $1::text::bigint AND u.id = $2::text::bigint`, raffle, bid).Scan(&cancelled, &left)
	if err != nil {
		t.Fatalf("bid %s of raffle %s is not cancelled: %v", bid, raffle, err)
	}
	if cancelled != 1 || left != 0 {
		t.Errorf("the user has %d cancelled bids and %d others, want 1 and 0", cancelled, left)
	}
}

// holdExampleRefused: a problem that another attempt can't cure is told at once, by type and detail.
func holdExampleRefused(t *testing.T, example []string) {
	const kind, detail = "/problems/bad-value", "a value is missing or out of range"
	asked := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.Path
		writeProblem(w, r, http.StatusUnprocessableEntity, kind, detail)
	}))
	defer server.Close()
	holdToFailure(t, server.URL, example, kind, detail)
	if len(asked) != 1 {
		t.Errorf("%d requests, want 1", len(asked))
	}
}

// holdExampleAlone: without a front door the attempts end, and the message has the address that was asked.
func holdExampleAlone(t *testing.T, example []string) {
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	holdToFailure(t, "http://"+address, example, address)
}

func holdToFailure(t *testing.T, url string, example []string, wanted ...string) {
	t.Helper()
	out, errs, status := runExample(t, url, example)
	lines := strings.Split(strings.TrimSpace(errs), "\n")
	if status != 1 || strings.Contains(out, "done:") {
		t.Errorf("exit status %d, want 1:\n%s%s", status, out, errs)
	}
	for _, w := range wanted {
		if last := lines[len(lines)-1]; !strings.Contains(last, w) {
			t.Errorf("the last line %q lacks %q", last, w)
		}
	}
}

// runExample runs an example to its end.
func runExample(t *testing.T, url string, example []string) (out, errs string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), exampleTime)
	defer cancel()
	c := exec.CommandContext(ctx, example[0], example[1:]...)
	c.Env = append(os.Environ(), "STOCK_PYRAMID_URL="+url, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	c.WaitDelay = time.Second // if a program that it has started keeps the pipes open
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	start := time.Now()
	err := testenv.Start(c)
	if err == nil {
		err = c.Wait()
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s%s", strings.Join(example, " "), err, &stdout, &stderr)
	}
	t.Logf("%v\n%s%s", time.Since(start).Round(time.Millisecond), &stdout, &stderr)
	return stdout.String(), stderr.String(), c.ProcessState.ExitCode()
}
