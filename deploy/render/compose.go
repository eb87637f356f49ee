package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
)

// composeSettings are what compose.yaml says to the container that renders.
type composeSettings struct {
	// Clients are the networks of the containers that use databases.
	Clients []string `env:"CLIENTS,required,notEmpty" envSeparator:" "`
	// MemoryMB is the memory of the machine that the deployment may take.
	MemoryMB int `env:"MEMORY_MB,required,notEmpty"`
}

// Check implements env.Checker.
func (c *composeSettings) Check() []error {
	if c.MemoryMB < 1024 {
		return []error{fmt.Errorf("MEMORY_MB=%d is less than 1024", c.MemoryMB)}
	}
	return nil
}

// composeUser is the user of all containers.
const composeUser = "pyramid"

// compose makes the passwords and certificates that are missing and writes the files of every container. Each folder below
// /conf is a volume, which only the containers of that name see.
func compose() error {
	c, err := env.Parse(&composeSettings{})
	if err != nil {
		return err
	}
	settings := composed()
	if err := makePasswords(settings.Secrets); err != nil {
		return err
	}
	p, err := readPasswords(settings.Secrets, roles)
	if err != nil {
		return err
	}
	addresses, err := readHosts("/etc/hosts")
	if err != nil {
		return err
	}
	s := containers(settings, c, p, addresses)
	files, err := s.composeFiles()
	if err != nil {
		return err
	}
	authority := deploy.Files{}
	if err := s.certificates(files, authority, false, time.Now()); err != nil {
		return err
	}
	if err := authority.Write(settings.Secrets, nil); err != nil {
		return err
	}
	return files.Write(settings.Conf, nil)
}

// readHosts reads addresses by names from a file like /etc/hosts, in which compose.yaml has the containers.
func readHosts(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	addresses := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 1 {
			for _, name := range fields[1:] {
				addresses[name] = fields[0]
			}
		}
	}
	return addresses, err
}

// composed are the folders and ports within the containers. Their hosts are apart, so ports need not differ. Containers
// speak TLS only.
func composed() *settings {
	return &settings{
		Data: "/data", Run: "/run/pyramid", Conf: "/conf", Secrets: "/secrets", PGUser: composeUser, PGVersion: 15,
		NodeProgram: "/usr/local/bin/node", Replicas: 2, TLS: "yes",
		HTTPPort: 8080, StatsPort: 8404, CommandPort: 8081, QueryPort: 8082, ReplicatorPort: 8083,
		Node1Port: 5432, Node2Port: 5432, WitnessPort: 5432, PgpoolPort: 5432, PCPPort: 9898, RedisPort: 6379,
		PrometheusPort: 9090, AlertmanagerPort: 9093, ExporterPort: 9187,
	}
}

func containers(settings *settings, c *composeSettings, p passwords, addresses map[string]string) stack {
	return stack{
		settings: settings, machine: machine{memoryMB: c.MemoryMB, osUser: composeUser},
		layout: layout{apart: true, clients: c.Clients, addresses: addresses}, passwords: p, getenv: os.Getenv,
	}
}

// ofProgram finds the program of a file: command-1.env and command.pgpass are files of command.
var ofProgram = regexp.MustCompile(`^([a-z]+)(?:-[0-9]+\.env|\.(env|pgpass|redis-url))$`)

// composeFiles are all files but the certificates, by the folders of the programs that read them.
func (s stack) composeFiles() (deploy.Files, error) {
	files, err := s.configurations()
	if err != nil {
		return nil, err
	}
	environments, err := s.environments(runtime.NumCPU())
	if err != nil {
		return nil, err
	}
	for name, file := range environments {
		parts := ofProgram.FindStringSubmatch(name)
		switch {
		case parts == nil:
		case parts[2] == passFile || parts[2] == redisFile:
			files[filepath.Join(parts[1], parts[2])] = file
		default:
			files[filepath.Join(parts[1], name)] = file
		}
	}
	return files, nil
}

// makePasswords makes a random password for each role that has none.
func makePasswords(folder string) error {
	for _, name := range roles {
		path := filepath.Join(folder, name+".password")
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return err
			}
			continue
		}
		var raw [24]byte
		_, _ = rand.Read(raw[:]) // never fails
		if err := os.WriteFile(path, []byte(hex.EncodeToString(raw[:])+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}
