package drill

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Ctl is the program that handles the parts of a deployment.
type Ctl struct{ Path string }

const (
	// ctlTime bounds one verb.
	ctlTime = 90 * time.Second
	// maxComplaint bounds what an error quotes of a program's output, in bytes.
	maxComplaint = 600
)

// Do runs a verb and returns what it prints.
func (c Ctl) Do(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, ctlTime)
	defer cancel()
	cmd := c.command(ctx, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return strings.TrimSpace(out.String()), nil
	}
	return out.String(), fmt.Errorf("ctl %s: %w: %s", strings.Join(args, " "), err, ending(out.String()+complaint.String()))
}

func (c Ctl) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Path, args...)
	// What ctl starts must not hold the pipes of its output open, and a time-out must end all of ctl.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// ending is the end of a text, where the reason of a failure is.
func ending(text string) string {
	text = strings.TrimSpace(text)
	return text[max(0, len(text)-maxComplaint):]
}

// Programs are the names of all programs of the deployment.
func (c Ctl) Programs(ctx context.Context) ([]string, error) {
	out, err := c.Do(ctx, "programs")
	return strings.Fields(out), err
}

// Roles returns the program that is the primary and the one that is the standby.
func (c Ctl) Roles(ctx context.Context) (primary, standby string, err error) {
	out, err := c.Do(ctx, "roles")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(out) {
		switch role, program, _ := strings.Cut(strings.TrimSpace(line), " "); role {
		case "primary":
			primary = program
		case "standby":
			standby = program
		}
	}
	if primary == "" || standby == "" {
		return "", "", fmt.Errorf("ctl roles: no primary or no standby in %q", out)
	}
	return primary, standby, nil
}

// Nodes asks every database node how it is.
func (c Ctl) Nodes(ctx context.Context) ([]Node, error) {
	out, err := c.Do(ctx, "nodes")
	if err != nil {
		return nil, err
	}
	return parseNodes(out)
}

// Watch calls each for every look of the database nodes at themselves, until ctx ends. That is one program for all looks,
// because a program and connections for each look would take a tenth of a processor from what is tried.
func (c Ctl) Watch(ctx context.Context, each func(Node)) error {
	cmd := c.command(ctx, "watch")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for dec := json.NewDecoder(out); err == nil; {
		var n Node
		if err = dec.Decode(&n); err == nil {
			each(n)
		}
	}
	err = errors.Join(err, cmd.Wait())
	return fmt.Errorf("ctl watch: %w: %s", cmp.Or(ctx.Err(), err), ending(complaint.String()))
}
