package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// isLink says whether the program is the way between two nodes, which is no container.
func (p program) isLink() bool { return strings.HasPrefix(string(p), "link-") }

func start(ctx context.Context, p program) error {
	if p.isLink() {
		return thaw(ctx, p)
	}
	_, err := docker(ctx, "start", p.container())
	return err
}

func stop(ctx context.Context, p program) error {
	if p.isLink() {
		return freeze(ctx, p)
	}
	_, err := docker(ctx, "stop", "--time", "80", p.container())
	return err
}

// restart lets HAProxy take its configuration anew without closing its ports.
func restart(ctx context.Context, p program) error {
	if p == "haproxy" {
		_, err := docker(ctx, "kill", "--signal", "USR2", p.container())
		return err
	}
	if err := stop(ctx, p); err != nil {
		return err
	}
	return start(ctx, p)
}

// kill loses the container and starts it again. Docker's restart policy leaves a container alone that was killed by order.
func kill(ctx context.Context, p program) error {
	if p.isLink() {
		return nil // nothing runs that could be killed
	}
	if err := crash(ctx, p); err != nil {
		return err
	}
	fmt.Printf("%s: killed\n", p)
	return start(ctx, p)
}

func crash(ctx context.Context, p program) error {
	if p.isLink() {
		return freeze(ctx, p)
	}
	_, err := docker(ctx, "kill", p.container())
	return err
}

func freeze(ctx context.Context, p program) error {
	switch {
	case p.isLink():
		return p.cut(ctx)
	case strings.Contains(string(p), ":"):
		return signalAll(ctx, p, syscall.SIGSTOP)
	}
	_, err := docker(ctx, "pause", p.container())
	return err
}

func thaw(ctx context.Context, p program) error {
	switch {
	case p.isLink():
		return p.join(ctx)
	case strings.Contains(string(p), ":"):
		return signalAll(ctx, p, syscall.SIGCONT)
	}
	_, err := docker(ctx, "unpause", p.container())
	if err != nil && strings.Contains(err.Error(), "is not paused") {
		return nil
	}
	return err
}

// ends are the nodes of each link. The first drops what comes from the second and goes to it.
var ends = map[program][2]program{
	"link-1": {"postgres-1", "postgres-2"}, "link-2": {"postgres-1", "witness"}, "link-3": {"postgres-2", "witness"},
}

// cut lets every packet between the two nodes vanish, so that neither gets an error. The rules are those of the first
// node's space of networks. The other node's address in the network cluster is not used by its clients.
func (p program) cut(ctx context.Context) error { return p.rules(ctx, "-I") }

// join removes the rules again. A node that was started anew since has none.
func (p program) join(ctx context.Context) error { return p.rules(ctx, "-D") }

func (p program) rules(ctx context.Context, action string) error {
	first, err := pid(ctx, ends[p][0])
	if err != nil {
		return err
	}
	other, err := inspect(ctx, ends[p][1])
	if err != nil {
		return err
	}
	address, err := other.address("cluster")
	if err != nil {
		return fmt.Errorf("%s: %w", ends[p][1], err)
	}
	for chain, side := range map[string]string{"INPUT": "--source", "OUTPUT": "--destination"} {
		within := []string{"--target", strconv.Itoa(first), "--net", "iptables", "--wait"}
		rule := []string{chain, side, address, "--jump", "DROP"}
		there := exec.CommandContext(ctx, "nsenter", append(append(within, "-C"), rule...)...).Run() == nil
		if there == (action == "-I") {
			continue
		}
		if out, err := exec.CommandContext(ctx, "nsenter", append(append(within, action), rule...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", p, err, out)
		}
	}
	return nil
}
