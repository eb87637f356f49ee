package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgservicefile"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
)

// Config is the environment of the program. PGSERVICEFILE and PGPASSFILE are in it, too; libpq and pgx read them.
// The service file has a section for each node of the cluster: node names are service names.
type Config struct {
	// Node is this node's name, Peer the other database node's. The witness has no peer.
	Node string `env:"NODE,required"`
	ID   int    `env:"NODE_ID,required"`
	Peer string `env:"PEER"`
	// Data is PostgreSQL's data folder. Conf holds postgresql.conf, repmgr.conf and what this program writes.
	Data string `env:"DATA_DIR,required"`
	Conf string `env:"CONF_DIR,required"`
	// Socket and Port lead to the local server as superuser.
	Socket string `env:"SOCKET_DIR,required"`
	Port   int    `env:"PORT,required"`
	// Bin holds PostgreSQL's and repmgr's programs.
	Bin string `env:"PG_BIN,required"`
	// PassFile has the password of the role repmgr.
	PassFile string `env:"PGPASSFILE,required"`
	// PCPHost and PCPPort are where pgpool-II takes orders, with the password in PCPPASSFILE. Without them nobody tells
	// pgpool-II that the node is back.
	PCPHost string `env:"PCP_HOST"`
	PCPPort int    `env:"PCP_PORT"`
}

// Check implements env.Checker.
func (*Config) Check() []error { return nil }

var _ env.Checker = (*Config)(nil)

func (c *Config) isWitness() bool { return c.Peer == "" }

func (c *Config) file(name string) string { return filepath.Join(c.Conf, name) }

func (c *Config) bin(name string) string { return filepath.Join(c.Bin, name) }

// address is where a node is reached, as this node's service file says.
func (c *Config) address(node string) (host, port string, err error) {
	file, err := pgservicefile.ReadServicefile(os.Getenv("PGSERVICEFILE"))
	if err != nil {
		return "", "", err
	}
	service, err := file.GetService(node)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", node, err)
	}
	return service.Settings["host"], service.Settings["port"], nil
}

// controlTimeline reads the timeline of a stopped server's data, 0 if it can't be read.
func (c *Config) controlTimeline(ctx context.Context) int64 {
	command := exec.CommandContext(ctx, c.bin("pg_controldata"), c.Data)
	command.Env = append(os.Environ(), "LC_ALL=C")
	out, err := command.Output()
	if err != nil {
		return 0
	}
	const label = "Latest checkpoint's TimeLineID:"
	for line := range strings.Lines(string(out)) {
		if value, found := strings.CutPrefix(line, label); found {
			timeline, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				return 0
			}
			return timeline
		}
	}
	return 0
}
