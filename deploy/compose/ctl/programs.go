package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// program is a program of the deployment, or PROGRAM:TEXT, its processes with that text.
type program string

// programs are all, in the order in which a rolling restart takes them. A link is the way between two nodes.
var programs = []string{
	"link-1", "link-2", "link-3", "witness", "postgres-1", "postgres-2", "redis", "pgpool", "exporter-1", "exporter-2",
	"replicator-1", "command-1", "query-1", "replicator-2", "command-2", "query-2", "alertmanager", "prometheus", "haproxy",
}

const nodeProgram = "/usr/local/bin/node"

// container is the name of the program's container.
func (p program) container() string { return "pyramid-" + p.service() }

// service is the program's name in compose.yaml.
func (p program) service() string {
	name, _, _ := strings.Cut(string(p), ":")
	if n, ok := strings.CutPrefix(name, "postgres-"); ok {
		return "node" + n
	}
	return name
}

// resolve finds the program that a name or a role stands for. A text behind a colon stays.
func resolve(ctx context.Context, word string) (program, error) {
	name, text, found := strings.Cut(word, ":")
	if name == "primary" || name == "standby" {
		primary, standby := roles(ctx)
		name = map[string]string{"primary": primary, "standby": standby}[name]
	}
	if !slices.Contains(programs, name) {
		return "", fmt.Errorf("there is no program %s", name)
	}
	if found {
		name += ":" + text
	}
	return program(name), nil
}

// nodes are what the database nodes say of themselves. A container that is down or frozen says nothing.
func nodes(ctx context.Context) []string {
	lines := make([]string, 2)
	var all sync.WaitGroup
	for i := range lines {
		all.Go(func() {
			p := program(fmt.Sprintf("postgres-%d", i+1))
			out, err := docker(ctx, "exec", p.container(), nodeProgram, "show")
			if err != nil || !json.Valid([]byte(out)) {
				out = fmt.Sprintf(`{"node":%q,"role":"down"}`+"\n", p.service())
			}
			lines[i] = out
		})
	}
	all.Wait()
	return lines
}

// roles are the programs that are primary and standby. Of two nodes that are both no primary the first counts as one.
func roles(ctx context.Context) (primary, standby string) {
	leads := func(line string) bool { return strings.Contains(line, `"role":"primary"`) }
	if list := nodes(ctx); leads(list[1]) && !leads(list[0]) {
		return "postgres-2", "postgres-1"
	}
	return "postgres-1", "postgres-2"
}

func sql(ctx context.Context, name, statement string) error {
	p, err := resolve(ctx, name)
	if err != nil {
		return err
	}
	database := "pyramid"
	if p == "witness" {
		database = "repmgr"
	}
	return show(ctx, "exec", "--env", "PGCONNECT_TIMEOUT=3", p.container(), "psql", "-XAtq", "-v", "ON_ERROR_STOP=1",
		"-h", "/run/"+p.service(), "-U", "postgres", "-d", database, "-c", statement)
}

// readyTime bounds the start of the whole deployment.
const readyTime = 3 * time.Minute

// wait ends when all containers are healthy.
func wait(ctx context.Context) error {
	for end := time.Now().Add(readyTime); ; {
		ill := ""
		for _, name := range programs {
			if program(name).isLink() {
				continue
			}
			c, err := inspect(ctx, program(name))
			if err != nil {
				return err
			}
			if c.State.Health.Status != "healthy" {
				ill += " " + name
			}
		}
		if ill == "" {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not healthy after %v:%s", readyTime, ill)
		}
		if err := sleep.For(ctx, time.Second); err != nil {
			return err
		}
	}
}

func showPID(ctx context.Context, p program) error {
	n, err := pid(ctx, p)
	if err == nil {
		fmt.Println(n)
	}
	return err
}

// processes are those of a container with a text in their command lines, as the host sees them.
func processes(ctx context.Context, p program) (pids []int, err error) {
	_, text, _ := strings.Cut(string(p), ":")
	out, err := docker(ctx, "top", p.container(), "-eo", "pid,args")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		number, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.Atoi(number); err == nil && strings.Contains(command, text) {
			pids = append(pids, n)
		}
	}
	return pids, nil
}

func signalAll(ctx context.Context, p program, signal syscall.Signal) error {
	pids, err := processes(ctx, p)
	for _, n := range pids {
		_ = syscall.Kill(n, signal) // it may just have ended
	}
	return err
}
