package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// claim is a port that a program of the stack needs. setting is the variable that moves it.
type claim struct {
	program, setting string
	port             int
	running          bool // the program runs, so the port is its own
}

// readClaims reads a line for each port: PROGRAM SETTING=PORT, and the program's pid if it runs.
func readClaims(in io.Reader) (list []claim, err error) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		f := strings.Fields(strings.Replace(lines.Text(), "=", " ", 1))
		if len(f) != 3 && len(f) != 4 {
			return nil, fmt.Errorf("%q is not PROGRAM SETTING=PORT [PID]", lines.Text())
		}
		c := claim{program: f[0], setting: f[1], running: len(f) == 4}
		if _, err := fmt.Sscan(f[2], &c.port); err != nil {
			return nil, fmt.Errorf("%q is not a port", f[2])
		}
		list = append(list, c)
	}
	return list, lines.Err()
}

// portsOf checks the ports that it reads.
func portsOf(in io.Reader) error {
	list, err := readClaims(in)
	if err != nil {
		return err
	}
	return checkPorts(list)
}

// clientPorts is where the ports begin that Linux gives to clients by default (ip_local_port_range).
const clientPorts = 32768

// checkPorts finds every port that two programs need, every port that clients may hold, and every port of a program that
// does not run and that something else listens on. The error has a line for each.
func checkPorts(list []claim) error {
	var problems []error
	taken := map[int]claim{}
	for _, c := range list {
		if other, twice := taken[c.port]; twice {
			problems = append(problems, fmt.Errorf("%s (%s) and %s (%s) both need port %d: the admin port of a service is its port + 1000, a further instance is at + 10",
				other.setting, other.program, c.setting, c.program, c.port))
			continue
		}
		taken[c.port] = c
		if c.port >= clientPorts {
			problems = append(problems, fmt.Errorf("port %d (%s) is not below %d, from where on the kernel gives ports to clients, so any client may hold it; choose a lower %s or a lower PORT_OFFSET",
				c.port, c.program, clientPorts, c.setting))
			continue
		}
		if c.running {
			continue
		}
		if err := isFree(c.port); err != nil {
			problems = append(problems, fmt.Errorf("port %d (%s) can't be used, and this stack did not take it: %w; stop that, or choose another %s",
				c.port, c.program, err, c.setting))
		}
	}
	return errors.Join(problems...)
}

// isFree tries the port for itself and for all addresses.
func isFree(port int) error {
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return errors.New("it is taken by " + ownerOf(port))
		case err != nil:
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// ownerOf is "pid 12 (name)" as far as the caller may see it.
func ownerOf(port int) string {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // a kernel without IPv6
		}
		for line := range strings.Lines(string(text)) {
			const local, state, inode, listening = 1, 3, 9, "0A"
			f := strings.Fields(line)
			if len(f) <= inode || f[state] != listening || !strings.HasSuffix(f[local], fmt.Sprintf(":%04X", port)) {
				continue
			}
			if pid := holderOf("socket:[" + f[inode] + "]"); pid != "" {
				return pid
			}
		}
	}
	return "a process of another user"
}

// holderOf names the process that has a file open.
func holderOf(file string) string {
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well formed
	for _, fd := range open {
		if target, err := os.Readlink(fd); err == nil && target == file {
			pid := strings.Split(fd, "/")[2]
			command, _ := os.ReadFile("/proc/" + pid + "/cmdline") // the process may just have ended
			name := strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " "))
			return fmt.Sprintf("pid %s (%.60s)", pid, name)
		}
	}
	return ""
}
