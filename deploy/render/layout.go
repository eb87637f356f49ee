package main

import (
	"path/filepath"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// layout says how the programs of a stack find each other. The zero layout is one machine: all programs listen on
// loopback, on ports of their own.
type layout struct {
	// apart: each program has a host that is named after it, and its files have a folder of that name.
	apart bool
	// clients are the networks that clients of the databases come from, loopback alone by default.
	clients []string
	// addresses are those of the programs that are apart and have a fixed one.
	addresses map[string]string
}

// host is where others find a program; "" is loopback.
func (l layout) host(program string) string {
	if l.apart {
		return program
	}
	return ""
}

// listener is where a program listens.
func (l layout) listener(port int) deploy.Address {
	if l.apart {
		return deploy.Address{Host: "0.0.0.0", Port: port}
	}
	return deploy.Address{Port: port}
}

// portOf is the port of a further instance. On a host of its own it has the port of the first.
func (l layout) portOf(first, offset int) int {
	if l.apart {
		return first
	}
	return first + offset
}

// folderOf is the folder of a program's only configuration.
func (l layout) folderOf(program string) string {
	if l.apart {
		return program
	}
	return ""
}

// secret is the path of a program's file with a secret.
func (s stack) secret(program, name string) string {
	if s.apart {
		return filepath.Join(s.Conf, program, name)
	}
	return filepath.Join(s.Secrets, program+"."+name)
}

// sockets is the folder of a node's Unix socket. Apart, it is shared with the program that makes the roles.
func (s stack) sockets(node string) string {
	if s.apart {
		return filepath.Join("/run", node)
	}
	return s.Run
}

// keys is the folder of the keys that sign tokens.
func (s stack) keys() string {
	if s.apart {
		return filepath.Join(s.Conf, "command", "jwt")
	}
	return filepath.Join(s.Secrets, "jwt")
}

func (s stack) frontDoorLimits() (deploy.Limits, error) {
	if s.apart {
		return deploy.ReadLimits(s.getenv, descriptors())
	}
	return localLimits(s.getenv)
}
