package main

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	buffer   = 256 << 20 // bytes that the kernel may hold while the packets are looked at
	ipv4     = 0x0800
	outgoing = 4 // PACKET_OUTGOING: on the loopback device each packet goes out and comes in
)

// tap hears the IPv4 packets of a device (packet(7)).
type tap struct {
	fd  int
	end atomic.Pointer[time.Time]
}

func listen(device string) (*tap, error) {
	i, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	protocol := uint16(ipv4<<8&0xff00 | ipv4>>8) // in network order
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, int(protocol))
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, buffer),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Usec: 100_000}),
		syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: protocol, Ifindex: i.Index}))
	if err != nil {
		return nil, errors.Join(err, syscall.Close(fd))
	}
	return &tap{fd: fd}, nil
}

// rest is how long packets are still taken that came before the end.
const rest = 300 * time.Millisecond

// each calls do for every packet until a moment after close.
func (t *tap) each(do func([]byte)) error {
	packet := make([]byte, 1<<17)
	for {
		if end := t.end.Load(); end != nil && time.Since(*end) > rest {
			return syscall.Close(t.fd)
		}
		n, from, err := syscall.Recvfrom(t.fd, packet, 0)
		switch {
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return os.NewSyscallError("recvfrom", err)
		}
		if link, ok := from.(*syscall.SockaddrLinklayer); ok && link.Pkttype == outgoing {
			continue
		}
		do(packet[:n])
	}
}

// close ends each.
func (t *tap) close() {
	now := time.Now()
	t.end.Store(&now)
}

// dropped is how many packets the kernel had no room for: the second number of PACKET_STATISTICS. The kernel writes eight
// bytes, as for the option that IPMreq is of.
func (t *tap) dropped() (int, error) {
	const packetStatistics = 6
	counts, err := syscall.GetsockoptIPMreq(t.fd, syscall.SOL_PACKET, packetStatistics)
	if err != nil {
		return 0, os.NewSyscallError("getsockopt", err)
	}
	return int(binary.NativeEndian.Uint32(counts.Interface[:])), nil
}
