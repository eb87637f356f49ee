package drill

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

const (
	awaitEvery = 500 * time.Millisecond
	// sqlAsks is how often in a row a read that only SQL answers must come from a standby, because a service keeps
	// several connections.
	sqlAsks = 8
)

// await polls until ailment finds nothing any more. The error tells the last ailment.
func await(ctx context.Context, within time.Duration, what string, ailment func() string) error {
	for end := time.Now().Add(within); ; {
		last := ailment()
		if last == "" {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %v for %s: %s", within, what, last)
		}
		if err := sleep.For(ctx, awaitEvery); err != nil {
			return err
		}
	}
}

// whole waits until every part is back in its role.
func (s *stage) whole(ctx context.Context) error {
	start := time.Now()
	err := await(ctx, recoverTime, "the deployment to be whole", func() string {
		if what := s.unready(ctx); what != "" {
			return what
		}
		return s.elsewhere(ctx)
	})
	if err == nil {
		s.story.say("whole after %.2f s", time.Since(start).Seconds())
	}
	return err
}

// ready waits until the nodes have their roles and all programs are ready.
func (s *stage) ready(ctx context.Context) error {
	return await(ctx, recoverTime, "the programs to be ready", func() string { return s.unready(ctx) })
}

// unready names a node or program that is not ready; "" if all are.
func (s *stage) unready(ctx context.Context) string {
	nodes, err := s.ctl.Nodes(ctx)
	if err != nil {
		return err.Error()
	}
	if what := ailing(nodes); what != "" {
		return what
	}
	for _, url := range append([]string{s.door.Base() + "/hello", s.door.Base() + "/.well-known/jwks.json"}, s.Ready...) {
		if err := s.ask(ctx, url); err != nil {
			return err.Error()
		}
	}
	return ""
}

// askTime bounds a question whether the deployment is whole.
const askTime = 2 * time.Second

func (s *stage) ask(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	w, err := s.feeds.Do(r)
	if err != nil {
		return err
	}
	_ = w.Body.Close() // only the status counts
	if w.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", url, w.StatusCode)
	}
	return nil
}

// elsewhere says which reads are not answered from where they belong: lists from Redis, and what only SQL answers from
// the standby through pgpool-II; "" if all are.
func (s *stage) elsewhere(ctx context.Context) string {
	list := fmt.Sprintf("/v1/raffles/%d/bids?size=%d&limit=1", s.raffles[0], sizes[0])
	if what := s.from(ctx, "redis", list); what != "" {
		return what
	}
	for range sqlAsks {
		if what := s.from(ctx, "replica", "/v1/me/bids?limit=1", "Authorization", s.bearers[0]); what != "" {
			return what
		}
	}
	return ""
}

func (s *stage) from(ctx context.Context, want, target string, header ...string) string {
	a, err := s.request(ctx, askTime, http.MethodGet, target, nil, header...)
	switch {
	case err != nil:
		return err.Error()
	case a.Status != http.StatusOK:
		return fmt.Sprintf("%s: status %d %s", target, a.Status, problemType(a))
	case path(a) != want:
		return fmt.Sprintf("%s is answered by %s, not by %s", target, path(a), want)
	}
	return ""
}

// differs is the exit status of the comparison when it finds a difference.
const differs = 1

// recover waits until the deployment is whole and the read model was found equal to the primary.
func (s *stage) recover(ctx context.Context) {
	start := time.Now()
	if err := s.whole(ctx); err != nil {
		s.result.fault("%v", err)
	}
	s.result.Whole = time.Since(start)
	err := await(ctx, recoverTime, "the comparison with Redis", func() string {
		out, err := s.ctl.Do(ctx, "verify")
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == differs {
			s.result.fault("verify: %s", ending(out))
			return ""
		}
		if err != nil {
			return err.Error()
		}
		return ""
	})
	if err != nil {
		s.result.fault("%v", err)
	}
}
