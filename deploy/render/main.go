// Command render writes the configurations of a deployment's servers and the environments of its services. For the
// local stack the scripts in deploy/local give it folders and settings by the environment, and the passwords as files.
// `render compose` is the first container of deploy/compose; it also makes the passwords.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
)

func main() {
	do := run
	if len(os.Args) == 2 && os.Args[1] == "compose" {
		do = compose
	}
	if err := do(); err != nil {
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
	if err := conf.Write(s.Conf, m.postgres); err != nil {
		return err
	}
	return secrets.Write(s.Secrets, nil)
}
