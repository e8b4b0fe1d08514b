package listen

import (
	"net"
	"syscall"
)

// The bits of a TCP header's byte 13 (RFC 9293, section 3.1).
const (
	tcpFlags = 13
	flagSYN  = 0x02
	flagACK  = 0x10
)

// refuseNew has the kernel keep new connections to ln out, while those that are in its queue, or
// shake hands, stay: the queue only becomes shorter.
func refuseNew(ln net.Listener) {
	switch ln := ln.(type) {
	case *net.TCPListener:
		dropFirstPackets(ln)
	case *net.UnixListener:
		shutdownReading(ln)
	}
}

// shutdownReading refuses who connects from now on, whatever name the socket has. Accept returns the
// queue, and then EINVAL (unix_stream_connect and unix_accept in net/unix/af_unix.c).
func shutdownReading(ln *net.UnixListener) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RD) })
}

// dropFirstPackets has the first packet of every new connection dropped. A client tries
// again after a second, and is refused then. Where that is not to be had, a client
// may still get into the queue at the very last moment: so it is with Multipath TCP, which package
// net uses where the kernel has it (GODEBUG=multipathtcp=0 ends that), and which takes no filter.
func dropFirstPackets(ln *net.TCPListener) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return
	}
	// A filter sees the packet from its TCP header on (sk_filter in tcp_v4_rcv).
	filter := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_B | syscall.BPF_ABS, K: tcpFlags},
		{Code: syscall.BPF_ALU | syscall.BPF_AND | syscall.BPF_K, K: flagSYN | flagACK},
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: flagSYN, Jt: 0, Jf: 1},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: 0},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: 0xffffffff},
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.AttachLsf(int(fd), filter) //nolint:staticcheck // what replaces it is not in the standard library
	})
}
