// Command ctl handles one part of the running containers of deploy/compose, or shows their roles, with the verbs of
// deploy/local/ctl. Drills cause their failures with it. It uses the docker command; links and freezing a part of a container
// take root.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// watchEvery is the pause between two looks of ctl watch.
const watchEvery = 500 * time.Millisecond

const usage = `usage: ctl start|stop|restart|kill|crash|freeze|thaw|pid PROGRAM...
       ctl wait|roles|nodes|watch|programs|switchover|verify|sql NODE STATEMENT|promote NODE [--force]|lead NODE
       ctl loadtest SUBCOMMAND...

PROGRAM is one of what "ctl programs" shows, primary, standby, or PROGRAM:TEXT for freeze and thaw: its processes with that
text. A database node and its agent are one container. kill is the loss of a container, which is then started again; crash is a
kill without a start; freeze is a pause; freeze link-N cuts two nodes apart, and thaw joins them`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		fmt.Fprintln(os.Stderr, "ctl:", err)
		os.Exit(ended.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "ctl:", err)
		os.Exit(3)
	}
}

// verbs handle one program each.
var verbs = map[string]func(context.Context, program) error{
	"start": start, "stop": stop, "restart": restart, "kill": kill, "crash": crash, "freeze": freeze, "thaw": thaw, "pid": showPID,
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	verb, rest := args[0], args[1:]
	if do := verbs[verb]; do != nil && len(rest) > 0 {
		return each(ctx, rest, do)
	}
	switch {
	case verb == "wait":
		return wait(ctx)
	case verb == "programs":
		fmt.Println(strings.Join(programs, "\n"))
		return nil
	case verb == "roles":
		primary, standby := roles(ctx)
		fmt.Printf("primary %s\nstandby %s\n", primary, standby)
		return nil
	case verb == "nodes":
		fmt.Print(strings.Join(nodes(ctx), ""))
		return nil
	case verb == "watch":
		for ; ctx.Err() == nil; _ = sleep.For(ctx, watchEvery) {
			fmt.Print(strings.Join(nodes(ctx), ""))
		}
		return nil
	case verb == "switchover":
		primary, _ := roles(ctx)
		return show(ctx, "exec", program(primary).container(), nodeProgram, "switchover")
	case (verb == "promote" || verb == "lead") && len(rest) > 0:
		p, err := resolve(ctx, rest[0])
		if err != nil {
			return err
		}
		return show(ctx, append([]string{"exec", p.container(), nodeProgram, verb}, rest[1:]...)...)
	case verb == "verify":
		return show(ctx, "exec", program("replicator-1").container(), "/service", "verify")
	case verb == "sql" && len(rest) == 2:
		return sql(ctx, rest[0], rest[1])
	case verb == "loadtest":
		return loadtest(ctx, rest)
	}
	return errors.New(usage)
}

// each handles several programs at once.
func each(ctx context.Context, names []string, do func(context.Context, program) error) error {
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			p, err := resolve(ctx, name)
			if err == nil {
				err = do(ctx, p)
			}
			errs[i] = err
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
