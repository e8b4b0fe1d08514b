package fcgix

import (
	"net"
	"syscall"
)

// cork has the kernel hold back the last, partial segment until the connection
// ends, so that data and FIN leave in one. Unix sockets have no segments, and
// refuse it.
func cork(c net.Conn) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1)
	})
}
