// Command render writes the configurations of a deployment's servers and the environments of its services. For the
// local stack the scripts in deploy/local give it folders and settings by the environment, and the passwords as files.
// `render compose` is the first container of deploy/compose; it also makes the passwords.
// `render rotate KIND` changes secrets of the running stack, and `render ports` checks the ports that it reads.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/version"
)

func main() {
	if version.Print(os.Stdout, "render", os.Args[1:]) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case len(os.Args) == 1:
		err = run()
	case len(os.Args) == 3 && os.Args[1] == "rotate":
		err = rotate(ctx, os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "compose":
		err = compose()
	case len(os.Args) == 2 && os.Args[1] == "ports":
		err = portsOf(os.Stdin)
	default:
		err = fmt.Errorf("usage: render [compose | ports | rotate certificates|passwords|keys|reload]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func run() error { return renderAll(false) }

// renderAll writes all files. renew makes new certificates even if the present ones are still good for long.
func renderAll(renew bool) error {
	s, err := env.Parse(&settings{})
	if err != nil {
		return err
	}
	m, err := thisMachine(s.PGUser)
	if err != nil {
		return err
	}
	p, err := readPasswords(s.Secrets, roles)
	if err != nil {
		return err
	}
	stack := stack{settings: s, machine: m, passwords: p, getenv: os.Getenv}
	conf, err := stack.configurations()
	if err != nil {
		return err
	}
	secrets, err := stack.environments(runtime.NumCPU())
	if err != nil {
		return err
	}
	if err := stack.certificates(conf, secrets, renew, time.Now()); err != nil {
		return err
	}
	if err := conf.Write(s.Conf, m.postgres); err != nil {
		return err
	}
	return secrets.Write(s.Secrets, nil)
}
