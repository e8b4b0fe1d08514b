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

// refuseNew has the kernel drop the first packet of every new connection to ln, while
// those that shake hands go on: the queue only becomes shorter. A client tries
// again after a second, and is refused then. Where that is not to be had, a client
// may still get into the queue at the very last moment: so it is with Multipath TCP, which package
// net uses where the kernel has it (GODEBUG=multipathtcp=0 ends that), and which takes no filter.
func refuseNew(ln net.Listener) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
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
