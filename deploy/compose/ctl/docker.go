package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// docker runs the docker command and returns what it prints.
func docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, cmp.Or(os.Getenv("DOCKER"), "docker"), args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("docker %s: %w: %s", args[0], err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

// show runs the docker command and passes on what it prints.
func show(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, cmp.Or(os.Getenv("DOCKER"), "docker"), args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// container is what docker says of one.
type container struct {
	State struct {
		Pid    int
		Health struct{ Status string }
	}
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

func inspect(ctx context.Context, p program) (container, error) {
	out, err := docker(ctx, "inspect", p.container())
	if err != nil {
		return container{}, err
	}
	var list []container
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		return container{}, fmt.Errorf("docker inspect %s: %d containers, %w", p.container(), len(list), err)
	}
	return list[0], nil
}

// address is that of a container in the network of that name, whatever project the network belongs to.
func (c container) address(network string) (string, error) {
	for name, n := range c.NetworkSettings.Networks {
		if strings.HasSuffix(name, "_"+network) && n.IPAddress != "" {
			return n.IPAddress, nil
		}
	}
	return "", fmt.Errorf("no address in the network %s", network)
}

// pid is that of the first process, as the host sees it.
func pid(ctx context.Context, p program) (int, error) {
	c, err := inspect(ctx, p)
	if err == nil && c.State.Pid == 0 {
		err = fmt.Errorf("%s does not run", p)
	}
	return c.State.Pid, err
}
