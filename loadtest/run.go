package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/cluster"
)

const runUsage = `usage: loadtest run --agents HOST:PORT,... N [FLAGS]

Runs level N like "loadtest level N [FLAGS]", but the agents at these addresses make the load: users and
arrivals are divided among them, they start at one moment, and their histograms are added up. An agent that is
lost, or that starts more than 50 ms off, makes the run invalid. LOADTEST_TOKEN_FILE or LOADTEST_TOKEN holds
the secret of the agents.
`

func runRun(ctx context.Context, args []string, out, notes io.Writer) error {
	flags := cli.NewFlags("loadtest run", runUsage)
	agents := flags.String("agents", "", "`addresses` of the agents, separated by commas; required")
	if err := cli.Parse(flags, args, len(args), out); err != nil {
		return err
	}
	addresses, err := readAgents(*agents)
	if err != nil {
		return cli.Wrong(err)
	}
	q, p, err := parseLevel(flags.Args(), out)
	if err != nil {
		return err
	}
	if q.Procs != 0 {
		return cli.Wrong(errors.New("--procs counts the processors of one machine: give it to each \"loadtest agent\""))
	}
	channel, err := cluster.ReadChannel()
	if err != nil {
		return err
	}
	q.Load = cluster.NewController(addresses, channel, p.work, notes).Run
	return execute(ctx, q, p, out, notes)
}

// readAgents refuses an address that comes twice, because an agent does one job at a time.
func readAgents(list string) ([]string, error) {
	if list == "" {
		return nil, errors.New("--agents is missing")
	}
	seen := make(map[string]bool)
	addresses := strings.Split(list, ",")
	for _, a := range addresses {
		if a == "" || seen[a] {
			return nil, fmt.Errorf("--agents: %q is empty or comes twice", a)
		}
		seen[a] = true
	}
	return addresses, nil
}
