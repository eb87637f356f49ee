package testenv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"
)

// Ports are taken from below the kernel's range for outgoing connections (32768 and up). Otherwise a client's
// connection could take the port of a server that is being restarted.
const (
	firstPort = 20000
	lastPort  = 31999
)

// FreePort returns a free TCP port of 127.0.0.1. Until the end of the test no other call of
// FreePort returns it, in whatever process, also while nothing listens on it.
func FreePort(t testing.TB) int {
	t.Helper()
	port, release, err := reservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := release(); err != nil {
			t.Errorf("release port %d: %v", port, err)
		}
	})
	return port
}

// FreePorts returns a port from which on all ports at the offsets are free, as FreePort.
func FreePorts(t testing.TB, offsets ...int) int {
	t.Helper()
	for range 1000 {
		first := firstPort + rand.IntN(lastPort-firstPort-slices.Max(offsets)+1)
		var all []func() error
		for _, offset := range offsets {
			if release, ok := reserve(first + offset); ok {
				all = append(all, release)
			}
		}
		release := func() {
			for _, one := range all {
				if err := one(); err != nil {
					t.Errorf("release ports from %d: %v", first, err)
				}
			}
		}
		if len(all) == len(offsets) {
			t.Cleanup(release)
			return first
		}
		release()
	}
	t.Fatalf("no free ports at distances of %v", offsets)
	return 0
}

func reservePort() (port int, release func() error, err error) {
	for range 1000 {
		port = firstPort + rand.IntN(lastPort-firstPort+1)
		if release, ok := reserve(port); ok {
			return port, release, nil
		}
	}
	return 0, nil, fmt.Errorf("no free port from %d to %d in 1000 tries", firstPort, lastPort)
}

// reserve marks a free port as taken by an abstract Unix socket of that number. Only one process can listen on
// such a socket, and it vanishes with the process (unix(7)).
func reserve(port int) (release func() error, ok bool) {
	mark, err := net.Listen("unix", fmt.Sprintf("@stock-pyramid-testenv-port-%d", port))
	if err != nil {
		return nil, false
	}
	if nobodyListens(port) {
		return mark.Close, true
	}
	_ = mark.Close() // nothing was sent over it
	return nil, false
}

// nobodyListens asks by connecting. Listening would hold the port for too long, because a child process keeps a
// copy of its parent's sockets until it executes its program.
func nobodyListens(port int) bool {
	conn, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err == nil {
		_ = conn.Close() // only that somebody answered counts
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
