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
	"slices"

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

// redisPassword is the name of the password of Redis. The local stack's Redis has none.
const redisPassword = "redis"

// composeUser is the user of all containers.
const composeUser = "pyramid"

// compose makes the passwords that are missing and writes the files of every container. Each folder below /conf is a
// volume, which only the containers of that name see.
func compose() error {
	c, err := env.Parse(&composeSettings{})
	if err != nil {
		return err
	}
	settings := composed()
	if err := makePasswords(settings.Secrets); err != nil {
		return err
	}
	p, err := readPasswords(settings.Secrets, append(slices.Clone(roles), redisPassword))
	if err != nil {
		return err
	}
	files, err := composeFiles(settings, c, p)
	if err != nil {
		return err
	}
	return files.Write(settings.Conf, nil)
}

// composed are the folders and ports within the containers. Their hosts are apart, so ports need not differ.
func composed() *settings {
	return &settings{
		Data: "/data", Run: "/run/pyramid", Conf: "/conf", Secrets: "/secrets", PGUser: composeUser, PGVersion: 15,
		NodeProgram: "/usr/local/bin/node", Replicas: 2,
		HTTPPort: 8080, StatsPort: 8404, CommandPort: 8081, QueryPort: 8082, ReplicatorPort: 8083,
		Node1Port: 5432, Node2Port: 5432, WitnessPort: 5432, PgpoolPort: 5432, PCPPort: 9898, RedisPort: 6379,
		PrometheusPort: 9090, ExporterPort: 9187,
	}
}

// ofProgram finds the program of an environment: command-1.env is one of command.
var ofProgram = regexp.MustCompile(`^([a-z]+)(-[0-9]+)?\.env$`)

// composeFiles are all files, by the folders of the programs that read them.
func composeFiles(settings *settings, c *composeSettings, p passwords) (deploy.Files, error) {
	s := stack{
		settings: settings, machine: machine{memoryMB: c.MemoryMB, osUser: composeUser},
		layout: layout{apart: true, clients: c.Clients}, passwords: p, getenv: os.Getenv,
	}
	files, err := s.configurations()
	if err != nil {
		return nil, err
	}
	environments, err := s.environments(runtime.NumCPU())
	if err != nil {
		return nil, err
	}
	for name, file := range environments {
		if parts := ofProgram.FindStringSubmatch(name); parts != nil {
			files[filepath.Join(parts[1], name)] = file
		}
	}
	return files, nil
}

// makePasswords makes a random password for each role that has none.
func makePasswords(folder string) error {
	for _, name := range append(slices.Clone(roles), redisPassword) {
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
