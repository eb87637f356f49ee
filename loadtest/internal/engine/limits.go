package engine

import (
	"fmt"
	"os"
	"syscall"
)

// spareFiles is what a generator needs beside its connections.
const spareFiles = 200

// CheckLimits makes sure that this process can hold a connection per user to one server. It compares the users with the
// descriptors, of which Go has raised the soft limit to the hard one, and with the ports of one address.
func CheckLimits(users int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	need := uint64(users + spareFiles)
	if need > limit.Max {
		return fmt.Errorf("%d users need %d open files, but the hard limit is %d: raise it (as root: ulimit -Hn %d; "+
			"lasting: nofile in /etc/security/limits.conf), or take fewer users", users, need, limit.Max, need)
	}
	raw, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return fmt.Errorf("read the range of ports: %w", err)
	}
	return checkPorts(users, string(raw))
}

// checkPorts takes the range as the kernel prints it. Every connection from one address to one port of a
// server needs a port of its own.
func checkPorts(users int, portRange string) error {
	var low, high int
	if _, err := fmt.Sscan(portRange, &low, &high); err != nil {
		return fmt.Errorf("range of ports %q: %w", portRange, err)
	}
	if ports := high - low + 1; users > ports {
		return fmt.Errorf("%d users need as many ports, but ip_local_port_range (%d to %d) has %d: widen it "+
			"(sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"), or spread the users over several machines",
			users, low, high, ports)
	}
	return nil
}
