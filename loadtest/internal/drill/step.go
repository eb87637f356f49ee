package drill

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// A step of a drill is a line of words:
//
//	wait 5s              lets the load go on
//	whole                waits until the deployment is whole
//	rolling              restarts every program in turn, the primary after a switchover
//	sql NODE STATEMENT   runs a statement as superuser
//	flush                empties Redis
//	hold STATEMENT       leaves a transaction with this statement open on the primary, until release
//	fires ALERT... [15s] waits until these alerts fire, which may take no longer
//	build FOLDER         lets every program that starts from now on be that of another build
//	built                fails unless the programs run from that build
//	verify               compares Redis with the primary
//	logs, errors         passes over what is in the logs; fails if an error has come into a log since
//	VERB PROGRAM...      runs a verb of ctl on each program at once; * stands for all programs
//
// Names in braces stand for the programs that have the role when the drill begins, whatever role they get later:
// {primary}, {standby}, {primary-agent}, {standby-agent}, and {primary-link} and {standby-link}, the link between that
// node and the witness. {old} and {new} are the folders of the two builds of an upgrade. Without braces, primary and standby are those of the moment of the step.

// names are the replacements for names in braces. Node N has the programs postgres-N and agent-N. link-1 is between the
// database nodes, link-2 leads from node 1 to the witness, link-3 from node 2.
func names(primary, standby string) *strings.Replacer {
	pairs := []string{"{primary}", primary, "{standby}", standby}
	for role, program := range map[string]string{"primary": primary, "standby": standby} {
		n := program[strings.LastIndexByte(program, '-')+1:]
		link := "link-2"
		if n == "2" {
			link = "link-3"
		}
		pairs = append(pairs, "{"+role+"-agent}", "agent-"+n, "{"+role+"-link}", link)
	}
	return strings.NewReplacer(pairs...)
}

// verbs are those of ctl whose words are programs alone.
var verbs = []string{"start", "stop", "restart", "kill", "crash", "freeze", "thaw", "fill", "unfill"}

// missing returns a program that a step handles and the deployment has not; "" if there is none.
func missing(step string, programs []string) string {
	words := strings.Fields(step)
	named := words[1:]
	switch {
	case words[0] == "clock":
		named = words[1:2]
	case !slices.Contains(verbs, words[0]):
		return ""
	}
	for _, word := range named {
		name, _, _ := strings.Cut(word, ":")
		if name != "*" && name != "primary" && name != "standby" && !slices.Contains(programs, name) {
			return name
		}
	}
	return ""
}

// do carries out a step.
func (s *stage) do(ctx context.Context, step string) error {
	s.story.say("%s", step)
	words := strings.Fields(step)
	switch words[0] {
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return err
		}
		return sleep.For(ctx, d)
	case "whole":
		return s.whole(ctx)
	case "flush":
		return flush(ctx, s.Redis)
	case "fires":
		return s.fires(ctx, words[1:])
	case "hold":
		return s.hold(ctx, strings.Join(words[1:], " "))
	case "release":
		return s.release(ctx)
	case "rolling":
		return s.rolling(ctx)
	case "logs":
		_, err := s.logs.news()
		return err
	case "errors":
		return s.noErrors()
	case "sql":
		out, err := s.ctl.Do(ctx, "sql", words[1], strings.Join(words[2:], " "))
		if out != "" {
			s.story.say("  %.200s", out)
		}
		return err
	}
	if slices.Contains(verbs, words[0]) {
		return s.each(ctx, words[0], words[1:])
	}
	_, err := s.ctl.Do(ctx, words...)
	return err
}

// each runs a verb on several programs at once.
func (s *stage) each(ctx context.Context, verb string, programs []string) error {
	if slices.Equal(programs, []string{"*"}) {
		programs = s.programs
	}
	var group errgroup.Group
	for _, program := range programs {
		group.Go(func() error {
			_, err := s.ctl.Do(ctx, verb, program)
			return err
		})
	}
	return group.Wait()
}

// rollingPause is between two restarts, more than a health check of the front door needs.
const rollingPause = 2 * time.Second

// rolling restarts everything: first what has no role among the database nodes, then the standby, then, after a
// switchover, the former primary. The links between the nodes stay, because only drills have them.
func (s *stage) rolling(ctx context.Context) error {
	for _, program := range s.programs {
		if strings.HasPrefix(program, "postgres-") || strings.HasPrefix(program, "link-") {
			continue
		}
		if err := s.do(ctx, "restart "+program); err != nil {
			return err
		}
		if err := sleep.For(ctx, rollingPause); err != nil {
			return err
		}
		if err := s.ready(ctx); err != nil {
			return err
		}
	}
	for _, step := range []string{"restart standby", "whole", "switchover", "whole", "restart standby", "whole"} {
		if err := s.do(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// check refuses steps that can't be understood.
func check(step string) error {
	words := strings.Fields(step)
	least := map[string]int{"build": 2, "built": 1, "verify": 1, "wait": 2, "whole": 1, "rolling": 1, "sql": 3, "switchover": 1, "flush": 1, "clock": 3,
		"fires": 2, "hold": 2, "release": 1, "logs": 1, "errors": 1}
	for _, v := range verbs {
		least[v] = 2
	}
	if len(words) == 0 || least[words[0]] == 0 || len(words) < least[words[0]] {
		return fmt.Errorf("%q is no step of a drill", step)
	}
	return nil
}
