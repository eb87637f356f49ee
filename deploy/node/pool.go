package main

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"strconv"
	"strings"
)

// pool keeps this node in the use of pgpool-II, which detaches a node that was down and never takes back a primary, nor any
// node once all were down. It looks which node is the primary only when a node goes or comes, so a primary that it takes for
// a standby goes and comes. A pgpool-II that is away attaches all nodes when it starts.
//
// If a node fails while pgpool-II starts, pgpool-II 4.3 may accept every later command and carry out none. Then the agent stops
// it, and its supervisor starts it again.
type pool struct {
	config *Config
	log    *slog.Logger
	inVain int // commands since pgpool-II had the node right
}

// mostInVain is how many commands in a row may be without effect before pgpool-II is stopped.
const mostInVain = 3

// keep asks pgpool-II how it has this node, and puts it right.
func (p *pool) keep(ctx context.Context, primary bool) error {
	if p.config.PCPHost == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "pcp_node_info", p.args()...).CombinedOutput()
	switch {
	case ctx.Err() != nil, strings.Contains(string(out), "could not connect"), strings.Contains(string(out), "Connection refused"):
		return nil
	case err != nil:
		return failed("pcp_node_info", err, out)
	}
	n, err := readPoolNode(string(out))
	if err != nil {
		return err
	}
	commands := n.remedy(primary, p.inVain)
	if p.inVain++; len(commands) == 0 || commands[0] == stopPool {
		p.inVain = 0
	}
	for _, command := range commands {
		args := p.args()
		if command == stopPool {
			p.log.Warn("pgpool-II does not take this node as it is, so it is stopped, to be started again", "node_info", string(out))
			args = append(args[:len(args)-2], "-m", "fast")
		}
		if err := run(ctx, command, args...); err != nil {
			return err
		}
	}
	return nil
}

// args name this node to a command of pgpool-II, which numbers the nodes from 0.
func (p *pool) args() []string {
	c := p.config
	return []string{"-h", c.PCPHost, "-p", strconv.Itoa(c.PCPPort), "-U", "pgpool", "-w", "-n", strconv.Itoa(c.ID - 1)}
}

// poolNode is a node as pgpool-II has it, and as it finds it now.
type poolNode struct {
	down        bool
	role        string
	isUp        bool
	primaryRole bool // it finds that the node is the primary
}

// readPoolNode reads what pcp_node_info prints:
// HOST PORT STATUS WEIGHT STATUS-NAME ITS-STATUS ROLE ITS-ROLE ...
func readPoolNode(info string) (poolNode, error) {
	f := strings.Fields(info)
	if len(f) < 8 {
		return poolNode{}, fmt.Errorf("pcp_node_info says %q", info)
	}
	const down = "3"
	return poolNode{down: f[2] == down, role: f[6], isUp: f[5] == "up", primaryRole: f[7] == "primary"}, nil
}

const stopPool = "pcp_stop_pgpool"

// remedy is the commands that make pgpool-II take the node as it is, when inVain of them had no effect. It is stopped only if
// it reaches the node itself.
func (n poolNode) remedy(primary bool, inVain int) []string {
	wrong := primary && n.role != "primary"
	switch {
	case !n.down && !wrong:
		return nil
	case inVain >= mostInVain && n.isUp && (!primary || n.primaryRole):
		return []string{stopPool}
	case n.down:
		return []string{"pcp_attach_node"}
	}
	return []string{"pcp_detach_node", "pcp_attach_node"}
}
