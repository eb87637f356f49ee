package primary

import "syscall"

// established is the state of a connection that neither side has ended (TCP_ESTABLISHED in Linux' net/tcp_states.h).
const established = 1

// ended says whether the other side has ended the connection, even if bytes wait to be read. The state is the first byte of
// tcp_info.
func ended(fd uintptr) bool {
	info, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
	return err != nil || info&0xff != established
}
