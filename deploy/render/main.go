// Command render writes the configurations of the local stack's servers and the environments of its services. The
// scripts in deploy/local give it folders and settings by the environment, and the passwords as files.
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func run() error {
	s, err := env.Parse(&settings{})
	if err != nil {
		return err
	}
	m, err := thisMachine(s.PGUser)
	if err != nil {
		return err
	}
	p, err := readPasswords(s.Secrets)
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
	if err := stack.certificates(conf, secrets, os.Getenv("RENEW") == "certificates", time.Now()); err != nil {
		return err
	}
	if err := conf.Write(s.Conf, m.postgres); err != nil {
		return err
	}
	return secrets.Write(s.Secrets, nil)
}
